"""Stores that a test may do with as it likes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.events.store import EventStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "events.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EventStore]:
    store = EventStore(path, wait_s=5)
    yield store
    store.close()
