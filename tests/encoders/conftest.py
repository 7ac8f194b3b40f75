"""Catalogues made on the spot."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
import soundfile

from data.dataset import Dataset, load_dataset, save_dataset
from data.tables import Imported
from data.workspace import Workspace
from encoders.batches import SongReader
from tests.encoders.toys import WORDS, build_reader, sound, toy_mels, toy_texts


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
