"""What the stages draw from listening: pairs, and songs skipped where another is played."""

import numpy as np
import polars as pl
import pytest

from encoders.training.presets import SETTINGS, PreferenceSettings
from encoders.training.stages import MOST_DRAWS, Listening, PairBatches, Skips

SONGS = 200
NONE = np.zeros(0, np.int32)


@pytest.fixture
def table() -> pl.DataFrame:
    """Every even song has 1 to 4 songs that are skipped beside it; in no order."""
    rows = [(song, (song * 7 + k) % SONGS, 2.0) for song in range(0, SONGS, 2) for k in range(1, 2 + song // 2 % 4)]
    schema = {"first": pl.Int32, "second": pl.Int32, "support": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row").sample(fraction=1.0, shuffle=True, seed=0)


def of(table: pl.DataFrame) -> set[tuple[int, int]]:
    return set(table.select("first", "second").iter_rows())


PLAYED = np.random.default_rng(0).integers(SONGS, size=20_000).astype(np.int32)


class TestSkips:
    def test_draws_only_what_was_skipped_beside_the_song(self, table: pl.DataFrame) -> None:
        rows, apart = Skips(table, NONE).draw(PLAYED, 1.0, (1, 2))
        assert set(zip(PLAYED[rows].tolist(), apart.tolist(), strict=True)) == of(table)  # so many draws find them all
        assert apart.dtype == np.int32
        assert rows.dtype == np.int64

    def test_a_row_has_one_at_most_and_at_a_share_of_1_each_that_can(self, table: pl.DataFrame) -> None:
        rows, _ = Skips(table, NONE).draw(PLAYED, 1.0, (1, 2))
        assert rows.tolist() == np.flatnonzero(PLAYED % 2 == 0).tolist()

    @pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
    def test_the_share_is_kept(self, table: pl.DataFrame, share: float) -> None:
        rows, apart = Skips(table, NONE).draw(PLAYED, share, (1, 2))
        assert len(rows) == len(apart)
        assert len(rows) / (PLAYED % 2 == 0).sum() == pytest.approx(share, abs=0.04)

    def test_all_skipped_songs_of_a_song_come_up_alike(self, table: pl.DataFrame) -> None:
        played = np.full(4000, 6, np.int32)
        _, apart = Skips(table, NONE).draw(played, 1.0, (1, 2))
        counts = np.unique(apart, return_counts=True)[1]
        assert len(counts) == table.filter(pl.col("first") == 6).height == 4
        assert counts / 4000 == pytest.approx(1 / 4, abs=0.04)

    def test_the_key_decides_and_not_the_order_of_the_table(self, table: pl.DataFrame) -> None:
        one, two = Skips(table, NONE), Skips(table.reverse(), NONE)
        for first, second in zip(one.draw(PLAYED, 0.5, (1, 2)), two.draw(PLAYED, 0.5, (1, 2)), strict=True):
            assert np.array_equal(first, second)
        assert not np.array_equal(one.draw(PLAYED, 0.5, (1, 2))[0], one.draw(PLAYED, 0.5, (1, 3))[0])

    def test_songs_left_out_are_not_drawn(self, table: pl.DataFrame) -> None:
        left_out = np.arange(0, SONGS, 3, dtype=np.int32)
        rows, apart = Skips(table, left_out).draw(PLAYED, 1.0, (1, 2))
        drawn = set(zip(PLAYED[rows].tolist(), apart.tolist(), strict=True))
        assert drawn == {(first, second) for first, second in of(table) if second % 3}

    def test_none_known_draws_none(self, table: pl.DataFrame) -> None:
        rows, apart = Skips(table.clear(), NONE).draw(PLAYED, 1.0, (1, 2))
        assert len(rows) == len(apart) == 0


def steps_over(pairs: int, settings: PreferenceSettings) -> int:
    schema = {"first": pl.Int32, "second": pl.Int32, "weight": pl.Float64}
    table = pl.DataFrame([(song, song + 1, 1.0) for song in range(pairs)], schema, orient="row")
    return len(PairBatches.of(Listening(table), table, NONE, settings, pairs + 1).of_epoch(0))


class TestSteps:
    def test_a_handful_of_pairs_takes_a_handful_of_steps(self) -> None:
        settings = PreferenceSettings(steps_per_epoch=30, batch_size=64)
        assert [steps_over(pairs, settings) for pairs in (1, 3, 4, 96, 1000)] == [1, 1, 2, 30, 30]

    @pytest.mark.parametrize("preset", ["demo", "small"])
    def test_a_hundred_and_fifty_pairs_take_the_presets_own(self, preset) -> None:
        settings = SETTINGS[preset, "preference"]
        assert steps_over(150, settings) == settings.steps_per_epoch

    def test_without_a_number_it_is_a_pass_over_the_pairs(self) -> None:
        assert steps_over(1000, PreferenceSettings(batch_size=64)) == 1000 // 64
        assert MOST_DRAWS > 1
