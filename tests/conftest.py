"""Worlds small enough to see through, for every package's tests."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of several that wait for each other cost more than they bring.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
import pytest
from hypothesis import settings

from data import reporting
from data.console import progress
from data.dataset import Dataset, load_dataset, save_dataset
from data.split import Split, ensure_split
from data.storage.workspace import Workspace
from data.tables import Imported

sys.path.insert(0, str(Path(__file__).parent / "recsys"))
from commands import Commands

if TYPE_CHECKING:
    from recsys.recommender import Recommender

# A machine that is busy with something else is no reason to fail.
settings.register_profile("patient", deadline=None, max_examples=50)
settings.load_profile("patient")

BLOCKS = ("ambient", "metal", "swing", "techno")
START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 100
LATE_FROM, LAST_FROM = 0.85, 0.92
"Two cold tracks of a block appear after the first share of the time, in validation; one after the second, in the test."


def block_world(seed: int = 0) -> Imported:
    """60 tracks in 4 blocks, 40 listeners who like one block each, timed listens over 100 days, 30 playlists.

    Ids say what is what: `ambient-00` .. `swing-14` (the last 3 of a block are cold), `fan-of-metal-7`,
    `list-of-techno-3`. A listener plays and finishes only songs of the own block; about one play in twenty is a song of
    another block, skipped at once. Every block has 3 artists. No audio, no features.
    """
    rng = np.random.default_rng(seed)
    return Imported(
        {"tracks": _tracks(), "listens": _listens(rng), **_playlists(rng)}, facts={"simulated": True, "seed": seed}
    )


def songs(block: str, share: float = 1.0) -> list[str]:
    """Track ids of a block that exist when so much of the time is over: 12 at first, 15 in the end."""
    count = 12 + 2 * (share > LATE_FROM) + (share > LAST_FROM)
    return [f"{block}-{number:02}" for number in range(count)]


def _tracks() -> pl.DataFrame:
    moods = dict(zip(BLOCKS, ("calm", "furious", "cheerful", "driving"), strict=True))
    return pl.DataFrame(
        [
            {
                "track_id": track,
                "title": f"{moods[block].capitalize()} song {number}",
                "artist": f"The {block.capitalize()} {('Trio', 'Band', 'Club')[number % 3]}",
                "genres": [block],
                "tags": [moods[block]],
                "duration_s": 180.0 + number,
            }
            for block in BLOCKS
            for number, track in enumerate(songs(block))
        ]
    )


def _listens(rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for listener in range(40):
        block = BLOCKS[listener % 4]
        for session in range(12):
            share = (session + rng.random()) / 12
            begin = START + timedelta(days=DAYS * share)
            known = songs(block, share)
            for place, choice in enumerate(rng.choice(len(known), size=6, replace=False)):
                skipped = rng.random() < 0.05
                other = BLOCKS[(listener + 1 + int(rng.integers(3))) % 4]
                rows.append(
                    {
                        "user_id": f"fan-of-{block}-{listener // 4}",
                        "track_id": songs(other, 0.0)[choice % 12] if skipped else known[choice],
                        "listened_at": begin + timedelta(minutes=4 * place),
                        "played_ratio": 0.05 if skipped else 1.0,
                        "feedback": "skip" if skipped else None,
                    }
                )
    return pl.DataFrame(rows, schema_overrides={"feedback": pl.String})


def _playlists(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    lists, entries = [], []
    for number in range(30):
        block = BLOCKS[number % 4]
        share = (number + rng.random()) / 30
        name = f"list-of-{block}-{number // 4}"
        modified = START + timedelta(days=DAYS * share)
        lists.append({"playlist_id": name, "title": f"my {block} {number}", "modified_at": modified})
        known = songs(block, share)
        for position, choice in enumerate(rng.choice(len(known), size=8, replace=False)):
            entries.append({"playlist_id": name, "position": position, "track_id": known[choice], "added_at": modified})
    return {"playlists": pl.DataFrame(lists), "playlist_tracks": pl.DataFrame(entries)}


World = tuple[Workspace, Dataset, Split]


@pytest.fixture
def small_world(tmp_path: Path) -> World:
    """The block world, published and split in `tmp_path / "workspace"`; see `block_world` for what it holds."""
    workspace = Workspace(tmp_path / "workspace")
    save_dataset(workspace, block_world(), {"importer": "block world"})
    dataset = load_dataset(workspace)
    return workspace, dataset, ensure_split(workspace, dataset)


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Dataset]:
    """`publish(tracks=..., listens=...)`: these tables, validated, published in a workspace of their own and loaded."""
    made = 0

    def publish(**tables: pl.DataFrame) -> Dataset:
        nonlocal made
        made += 1
        workspace = Workspace(tmp_path / f"world-{made}")
        save_dataset(workspace, Imported(tables), {"importer": "test"})
        return load_dataset(workspace)

    return publish


@pytest.fixture(scope="session")
def fixed_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """`small_world` made once, for tests that change nothing in it."""
    workspace = Workspace(tmp_path_factory.mktemp("fixed") / "workspace")
    save_dataset(workspace, block_world(), {"importer": "block world"})
    dataset = load_dataset(workspace)
    return workspace, dataset, ensure_split(workspace, dataset)


@pytest.fixture(autouse=True)
def own_reporting() -> Iterator[None]:
    """What a test lets a command show is not shown by the next test."""
    log = logging.getLogger(reporting.ROOT)
    before = log.level, log.propagate, log.handlers
    yield
    log.setLevel(before[0])
    log.propagate, log.handlers = before[1:]
    reporting.show_progress(reporting.unseen)


@pytest.fixture
def listening(own_reporting: None) -> None:
    """As a command does: what library code logs is shown on stderr."""
    progress.listen()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs our commands as processes of their own, with settings that take next to no time; see recsys/commands.py."""
    made = Commands()
    yield made
    made.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """A workspace that build_index has finished: 60 songs with audio, hardly trained. Copy it before changing it."""
    root = tmp_path_factory.mktemp("built") / "workspace"
    result = commands.run("recsys.build_index", "-w", root)
    assert result.code == 0, result.err
    return root


@pytest.fixture
def recommender(built: Path) -> "Recommender":
    """Opened afresh from the built workspace: a test may change what it holds."""
    from recsys.recommender import Recommender  # seconds of loading, which most tests can do without

    return Recommender.load(built)


@pytest.fixture
def user(recommender: "Recommender") -> str:
    """The first listener of the built workspace."""
    return recommender.dataset.user_ids.names[0]


@pytest.fixture
def copy_of_built(built: Path, tmp_path: Path) -> Path:
    """A copy of the built workspace that a test may damage. The audio stays where it is in the original."""
    return Path(shutil.copytree(built, tmp_path / "workspace", symlinks=True))
