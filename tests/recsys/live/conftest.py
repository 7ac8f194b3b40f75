"""A recommender that is open while things change."""

from pathlib import Path

import pytest

from recsys.recommender import Recommender


@pytest.fixture
def root(copy_of_built: Path) -> Path:
    return copy_of_built


@pytest.fixture
def alive(root: Path) -> Recommender:
    return Recommender.load(root)
