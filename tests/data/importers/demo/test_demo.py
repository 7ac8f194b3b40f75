"""The demo data set keeps its promises: the same every time, resumable, and consistent with its own model."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from polars.testing import assert_frame_equal

from data.importers.demo import DemoSettings, import_demo
from data.importers.demo.catalogue import make_catalogue
from data.importers.demo.listeners import choose, make_listeners
from data.importers.demo.listening import simulate_listens
from data.importers.demo.music import Sound, synthesise
from data.tables import Imported, validate

SMALL = DemoSettings(tracks=60, artists=12, listeners=40, listens=2000, playlists=40, min_seconds=2, max_seconds=4)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def small(root: Path) -> Imported:
    return import_demo(root / "audio", root, SMALL)


@pytest.fixture(scope="module")
def listens_with_release(small: Imported) -> pl.DataFrame:
    tracks = small.tables["tracks"].select("track_id", "release_date")
    return small.tables["listens"].join(tracks, on="track_id", maintain_order="left")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestTables:
    def test_are_valid_without_a_reject(self, small: Imported) -> None:
        validated = validate(small)
        assert validated.rejects.is_empty()
        assert not validated.merged
        for name, frame in small.tables.items():
            assert_frame_equal(validated.tables[name], frame)

    def test_have_the_sizes_asked_for(self, small: Imported) -> None:
        heights = {name: frame.height for name, frame in small.tables.items() if name != "playlist_tracks"}
        assert heights == {"tracks": 60, "listens": 2000, "playlists": 40}
        per_playlist = small.tables["playlist_tracks"].group_by("playlist_id").len()["len"]
        assert len(per_playlist) == 40
        assert per_playlist.is_between(8, 40).all()

    def test_say_that_they_are_simulated(self, small: Imported) -> None:
        assert small.facts["simulated"] is True
        assert small.facts["terms"]

    def test_text_has_gaps_but_always_a_title(self, small: Imported) -> None:
        nulls = small.tables["tracks"].null_count().row(0, named=True)
        assert nulls["title"] == nulls["release_date"] == nulls["duration_s"] == nulls["audio_path"] == 0
        assert all(0 < nulls[column] < 60 for column in ("genres", "tags", "language", "description", "album"))

    def test_playlist_positions_count_from_zero(self, small: Imported) -> None:
        entries = small.tables["playlist_tracks"]
        expected = pl.int_range(pl.len(), dtype=pl.Int32).over("playlist_id")
        assert entries.select((pl.col("position") == expected).all()).item()


class TestTime:
    def test_nothing_is_played_before_its_release(self, listens_with_release: pl.DataFrame) -> None:
        assert listens_with_release.select((pl.col("listened_at").dt.date() >= pl.col("release_date")).all()).item()

    def test_no_playlist_holds_a_song_of_its_future(self, small: Imported) -> None:
        entries = (
            small.tables["playlist_tracks"]
            .join(small.tables["playlists"], on="playlist_id")
            .join(small.tables["tracks"], on="track_id")
        )
        assert entries.select((pl.col("added_at") <= pl.col("modified_at")).all()).item()
        assert entries.select((pl.col("added_at").dt.date() >= pl.col("release_date")).all()).item()

    def test_listens_are_ordered_and_inside_the_history(self, small: Imported) -> None:
        moments = small.tables["listens"]["listened_at"]
        assert moments.is_sorted()
        assert moments[0] >= SMALL.begin
        assert moments[-1] < SMALL.begin + timedelta(days=SMALL.days)

    def test_some_tracks_are_cold_and_still_played(self) -> None:
        settings = DemoSettings(tracks=300, artists=40, listeners=200, listens=15_000)
        catalogue = make_catalogue(settings)
        listens = simulate_listens(catalogue, make_listeners(catalogue, settings), settings)
        start, end = listens["listened_at"][0], listens["listened_at"][-1]
        for share, least in ((0.8, 0.10), (0.9, 0.05)):
            before = listens.filter(pl.col("listened_at") < start + (end - start) * share)["track_id"].unique()
            assert least < 1 - len(before) / settings.tracks < least + 0.06
        train = listens.filter(pl.col("listened_at") < start + (end - start) * 0.8)["track_id"].unique()
        test = listens.filter(pl.col("listened_at") >= start + (end - start) * 0.9)["track_id"]
        assert (~test.is_in(train.implode())).mean() > 0.08


class TestAudio:
    def test_every_file_decodes_at_its_length(self, small: Imported, root: Path) -> None:
        for path, seconds in small.tables["tracks"].select("audio_path", "duration_s").iter_rows():
            samples, rate = soundfile.read(root / path)
            assert rate == SMALL.sample_rate
            assert samples.ndim == 1
            assert len(samples) / rate == pytest.approx(seconds, abs=1e-3)
            assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.3
            assert np.abs(samples).max() < 1

    def test_an_interrupted_run_goes_on(self, small: Imported, root: Path) -> None:
        before = contents(root / "audio")
        lost = root / small.tables["tracks"]["audio_path"][7]
        kept = root / small.tables["tracks"]["audio_path"][8]
        stamp = kept.stat().st_mtime_ns
        lost.with_name(lost.name + ".part").write_bytes(before[lost.name][:100])
        lost.unlink()
        seen: list[tuple[int, int]] = []
        import_demo(root / "audio", root, SMALL, progress=lambda done, total: seen.append((done, total)))
        assert contents(root / "audio") == before
        assert kept.stat().st_mtime_ns == stamp
        assert seen == [(59, 60), (60, 60)]

    def test_another_seed_does_not_take_the_files_that_are_there(self, small: Imported, root: Path) -> None:
        reseeded = SMALL.model_copy(update={"seed": 1})
        other = import_demo(root / "audio-1", root, reseeded)
        names = [Path(path).name for path in other.tables["tracks"]["audio_path"]]
        assert not set(names) & set(contents(root / "audio"))

    @pytest.mark.parametrize("extreme", [-2.5, 2.5])
    @pytest.mark.parametrize("side", Sound._fields)
    def test_extremes_stay_within_bounds(self, side: str, extreme: float) -> None:
        sound = Sound(*(0.0,) * len(Sound._fields))._replace(**{side: extreme})
        samples = synthesise(sound, 1.5, np.random.default_rng(0), 16_000)
        assert samples.dtype == np.float32
        assert samples.shape == (24_000,)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() < 1


class TestSameSeed:
    def test_gives_the_same_tables_and_bytes(self, small: Imported, root: Path, tmp_path: Path) -> None:
        again = import_demo(tmp_path / "audio", tmp_path, SMALL)
        for name, frame in small.tables.items():
            assert_frame_equal(again.tables[name], frame)
        assert contents(tmp_path / "audio") == contents(root / "audio")

    def test_gives_the_same_bytes_from_two_processes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = SMALL.model_copy(update={"listens": 0, "playlists": 0, "max_seconds": 2.0})
        import_demo(tmp_path / "one", tmp_path, settings)
        monkeypatch.setattr("data.importers.demo.audio.PARALLEL_FROM", 0)
        import_demo(tmp_path / "two", tmp_path, settings)
        assert contents(tmp_path / "one") == contents(tmp_path / "two")


class TestSettings:
    def test_more_artists_than_tracks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="30 artists need as many tracks"):
            DemoSettings(tracks=20, artists=30)

    def test_an_audio_folder_outside_the_root_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="subpath"):
            import_demo(tmp_path / "a", tmp_path / "b", SMALL)

    def test_the_smallest_world_works(self, tmp_path: Path) -> None:
        tiny = DemoSettings(
            tracks=10, artists=1, listeners=1, listens=7, playlists=1, min_seconds=1, max_seconds=1, new_share=0
        )
        assert validate(import_demo(tmp_path, tmp_path, tiny)).rejects.is_empty()


def test_choose_follows_the_odds() -> None:
    score = np.tile(np.log(np.array([8, 4, 2, 1, 0], dtype=np.float32) + 1e-30), (20_000, 1)).astype(np.float32)
    score[:, 4] = -np.inf
    rows, tracks = choose(score, np.ones(20_000, np.int64), np.random.default_rng(0))
    assert len(rows) == 20_000
    assert np.bincount(tracks, minlength=5) / 20_000 == pytest.approx(np.array([8, 4, 2, 1, 0]) / 15, abs=0.02)


def test_choose_never_repeats_and_never_takes_what_is_ruled_out() -> None:
    score = np.zeros((3, 6), np.float32)
    score[1, 2:] = -np.inf
    rows, tracks = choose(score, np.array([6, 6, 2]), np.random.default_rng(0))
    assert np.bincount(rows).tolist() == [6, 2, 2]
    assert sorted(tracks[rows == 1].tolist()) == [0, 1]
    assert len({*zip(rows.tolist(), tracks.tolist(), strict=True)}) == len(rows)
