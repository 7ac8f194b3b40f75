"""The candidate sources, fitted once."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from data.dataset import Dataset
from recsys.candidates import CandidateSource
from tests.recsys.candidates.source_toys import block_features, make


@pytest.fixture(scope="module")
def training(fixed_world) -> Dataset:
    _, dataset, split = fixed_world
    return replace(split.training(dataset), features=block_features(dataset))


@pytest.fixture(scope="module")
def fitted(training) -> Callable[[str], CandidateSource]:
    return cache(lambda name: make(name, training).fit(training))
