"""One wrong clock moves no clock of ours, and one account that plays all day is one listener."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset, load_dataset, save_dataset
from data.split import HEAVY, PARTS, ensure_split
from data.storage.workspace import Workspace
from data.tables import Imported
from recsys.candidates.collaborative.item_knn import ItemKnn
from recsys.candidates.simple.popularity import Popularity
from recsys.queries import Query
from recsys.recommender import Recommender
from recsys.tasks import held_out
from recsys.tasks.task import without_excess
from tests.on_odd_days.tables import FIRST, built, plays, prepared, songs
from tests.recsys.commands import Commands

FAR = datetime(2099, 1, 1, tzinfo=UTC)
Publish = Callable[..., Dataset]


def play(user: str, track: str, at: datetime) -> pl.DataFrame:
    row = {"user_id": user, "track_id": track, "listened_at": at, "played_ratio": 1.0, "feedback": None}
    return pl.DataFrame([row], schema_overrides={"feedback": pl.String})


def all_day(track: str, times: int) -> pl.DataFrame:
    """One account plays one song again and again, through all the time of `plays`."""
    return pl.concat([play("bot", track, FIRST + timedelta(minutes=n)) for n in range(times)])


class TestWrongClocks:
    def test_a_listen_after_the_import_is_a_reject_with_its_reason(self, commands: Commands, tmp_path: Path) -> None:
        listens = pl.concat([plays(), play("u00", "t00", FAR)])
        workspace, said = prepared(commands, tmp_path, tracks=songs(), listens=listens)
        assert "960 kept" in said
        assert "later than this import" in said
        assert pl.read_parquet(workspace / "dataset/listens.parquet").height == 960

    @pytest.mark.parametrize("ahead", [timedelta(days=200), timedelta(days=365 * 30)])
    def test_weights_that_halve_with_age_still_know_every_song(self, publish: Publish, ahead: timedelta) -> None:
        """The same where the wrong play came in all the same: ahead of the others, and in the past of the import."""
        late = plays()["listened_at"].max()
        assert isinstance(late, datetime)
        moved = plays().with_columns(pl.col("listened_at") - ahead)
        dataset = publish(tracks=songs(), listens=pl.concat([moved, play("u00", "t00", late)]))
        popular = Popularity(Popularity.Settings(half_life_days=1.0)).fit(dataset)
        assert len(popular.candidates([Query()], 100)[0][0]) == 48
        neighbours = ItemKnn(ItemKnn.Settings(half_life_days=1.0)).fit(dataset)
        assert np.diff(neighbours.songs.similarity.indptr).min() > 0

    def test_a_release_of_9999_is_not_new_for_ever(self, commands: Commands, tmp_path: Path) -> None:
        odd = songs().with_columns(
            release_date=pl.when(pl.col("track_id") == "t07").then(date(9999, 12, 31)).otherwise("release_date")
        )
        _, said = prepared(commands, tmp_path / "twice", tracks=odd)
        assert "made null" in said
        assert "more than 366 days after this import" in said
        workspace, _ = built(commands, tmp_path, tracks=odd)
        assert pl.read_parquet(workspace / "dataset/tracks.parquet")["release_date"].null_count() == 1
        newest = Recommender.load(workspace).popular_and_fresh(5)
        assert "t07" not in [song.track_id for song in newest]


class TestOneAccount:
    def test_a_song_that_one_account_plays_is_not_the_most_popular(self, publish: Publish) -> None:
        dataset = publish(tracks=songs(60), listens=pl.concat([plays(), all_day("t59", 9000)]))
        for half_life in (None, 30.0):
            popular = Popularity(Popularity.Settings(half_life_days=half_life)).fit(dataset)
            ranked = dataset.track_ids.to_names(popular.candidates([Query()], 60)[0][0])
            assert ranked.index("t59") == 48

    def test_it_neither_moves_the_moments_that_divide_nor_fills_what_is_asked(self, tmp_path: Path) -> None:
        found = []
        for number, extra in enumerate((plays().head(0), all_day("t47", 9000))):
            workspace = Workspace(tmp_path / str(number))
            save_dataset(workspace, Imported({"tracks": songs(), "listens": pl.concat([plays(), extra])}), {})
            dataset = load_dataset(workspace)
            split = ensure_split(workspace, dataset)
            people = (dataset.listens["user"] != dataset.user_ids.rows.get("bot", -1)).to_numpy()
            found.append([np.mean(split.listens[people] == part) for part in range(len(PARTS))])
            for part in ("validation", "test"):
                question = held_out(dataset, split, "next-song", part)  # type: ignore[arg-type]
                asked = np.unique(question.groups, return_counts=True)[1]
                assert len(asked) > 20
                assert asked.max() <= HEAVY * np.median(asked)
        assert np.allclose(found[0], found[1], atol=0.1), found

    def test_queries_are_capped_at_a_multiple_of_the_median_and_stay_in_order(self) -> None:
        users = np.repeat(np.arange(5), [2, 3, 4, 500, 3])
        rows = np.arange(len(users)) * 10
        kept = without_excess(rows, users, seed=1)
        counts = np.unique(users[kept // 10], return_counts=True)[1]
        assert counts.tolist() == [2, 3, 4, 3 * HEAVY, 3]
        assert (np.diff(kept) > 0).all()
        assert np.array_equal(kept, without_excess(rows, users, seed=1))
        assert not np.array_equal(kept, without_excess(rows, users, seed=2))

    def test_one_listener_gives_means_and_neither_intervals_nor_tests(self, commands: Commands, tmp_path: Path) -> None:
        workspace, _ = built(commands, tmp_path, tracks=songs(), listens=plays(1, 300))
        report = tmp_path / "report.json"
        done = commands.run("eval.run", "-w", workspace, "--task", "next-song", "--json", report)
        assert done.code == 0, done.err
        assert "1 listener" in done.out
        result = json.loads(report.read_text())
        assert result["protocol"]["listeners"]["all"] == 1
        assert result["tests"] == []
        assert {tuple(value) for found in result["models"].values() for value in found.values()} == {("mean",)}
