"""Catalogues made on the spot."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

import encoders.training.publish_stage as train
from data.dataset import Dataset, load_dataset, save_dataset
from data.split import Extent
from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from data.tables import Imported
from encoders.encoding.song_batches import SongReader
from encoders.options import STAGES, Stage
from encoders.training.presets import SETTINGS
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import Recipe
from tests.encoders.toys import WORDS, build_reader, sound, tiny_config, toy_mels, toy_texts

START = datetime(2025, 1, 1, tzinfo=UTC)
COUNT = 12
DEMO = Recipe("demo")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs of a tiny model, whatever the presets say."""
    for stage in STAGES:
        settings = SETTINGS["demo", stage].model_copy(
            update={"epochs": 2, "batch_size": 8, "steps_per_epoch": 3 if stage == "preference" else None}
        )
        monkeypatch.setitem(SETTINGS, ("demo", stage), settings)
    monkeypatch.setattr(train, "preset_config", lambda preset, vocabulary=64: tiny_config(vocabulary))


@pytest.fixture
def toy_reader(tmp_path: Path) -> SongReader:
    """16 songs that all have audio and text."""
    return build_reader(tmp_path, toy_mels(16), toy_texts(16))


World = tuple[Workspace, Dataset]
MakeCatalogue = Callable[..., World]


@pytest.fixture
def make_catalogue(tmp_path: Path) -> MakeCatalogue:
    """`make_catalogue(count, audio=..., text=..., **tables)`: songs `song-00`.. with 3 s wav files where `audio` says.

    audio, text: which song numbers have it, default all. Other tables (listens, ...) are published as given.
    """

    def make(
        count: int, audio: Sequence[int] | None = None, text: Sequence[int] | None = None, **tables: pl.DataFrame
    ) -> World:
        workspace = Workspace(tmp_path / "workspace")
        folder = tmp_path / "workspace" / "audio"
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(count):
            heard = audio is None or number in audio
            read = text is None or number in text
            path = f"audio/{number:02}.wav" if heard else None
            if heard and not (folder / f"{number:02}.wav").exists():
                soundfile.write(folder / f"{number:02}.wav", sound(number), 16_000)
            rows.append(
                {
                    "track_id": f"song-{number:02}",
                    "title": toy_texts(count)[number] if read else None,
                    "tags": [WORDS[number % 6]] if read else [],
                    "audio_path": path,
                }
            )
        tracks = pl.DataFrame(rows, schema_overrides={"title": pl.String, "audio_path": pl.String})
        tracks = tracks.with_columns(pl.col("tags").cast(pl.List(pl.String)))
        save_dataset(workspace, Imported({"tracks": tracks, **tables}), {"importer": "test"})
        return workspace, load_dataset(workspace)

    return make


def listens(late: Sequence[int] = ()) -> pl.DataFrame:
    """6 listeners, of even or odd songs, 10 sessions each; `late` songs are heard only in the last one."""
    early = [number for number in range(COUNT) if number not in late]
    rows = []
    for listener in range(6):
        for session in range(10):
            songs = [n for n in (early if session < 9 else range(COUNT)) if n % 2 == listener % 2]
            for place, number in enumerate(songs):
                when = START + timedelta(days=10 * session, hours=listener, minutes=3 * place)
                rows.append({"user_id": f"u{listener}", "track_id": f"song-{number:02}", "listened_at": when})
    return pl.DataFrame(rows)


def descriptors(songs: Sequence[int] = range(COUNT), width: int = 6) -> pl.DataFrame:
    """A features table of these songs, in units far apart; its last column never changes."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((COUNT, width)) * 10.0 ** np.arange(width)
    values[:, -1] = 1.0
    return pl.DataFrame({"track_id": [f"song-{n:02}" for n in songs], "features": [values[n].tolist() for n in songs]})


def manifest_of(workspace: Workspace, stage: Stage) -> Manifest:
    manifest = read_manifest(workspace.encoder(stage))
    assert manifest is not None
    return manifest


def both_stages(world: World, recipe: Recipe = DEMO, extent: Extent = "past") -> None:
    for stage in STAGES:
        train_stage(*world, stage, recipe, extent)
