"""Ranked songs as one ragged array, against plain lists and stable sorting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys.ranked import SAMPLED, Ranked, best_songs, rank_scores

Row = tuple[list[int], list[float]]

tables = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40).flatmap(
    lambda shape: st.tuples(
        # Few different values, so that ties are the rule.
        arrays.arrays(np.float32, shape, elements=st.sampled_from([-1.5, 0.0, 0.25, 1.0, 3.0])),
        arrays.arrays(np.bool_, shape),
    )
)
rows = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.floats(-5, 5, width=32)), max_size=6).map(
        lambda pairs: ([track for track, _ in pairs], [score for _, score in pairs])
    ),
    max_size=6,
)


def ranked(content: list[Row]) -> Ranked:
    return Ranked.from_rows([(np.array(t, np.int32), np.array(s, np.float32)) for t, s in content])


def as_lists(content: Ranked) -> list[Row]:
    return [(tracks.tolist(), scores.tolist()) for tracks, scores in content]


@given(tables, st.integers(1, 50))
def test_rank_scores_is_a_stable_sort_of_the_allowed_songs(table, k):
    scores, allowed = table
    found = rank_scores(scores, allowed, k)
    assert (found.offsets.dtype, found.tracks.dtype, found.scores.dtype) == (np.int64, np.int32, np.float32)
    for row, (tracks, values) in enumerate(found):
        order = np.argsort(-scores[row], kind="stable")
        expected = order[allowed[row][order]][:k]
        np.testing.assert_array_equal(tracks, expected)
        np.testing.assert_array_equal(values, scores[row][expected])


def test_ties_are_resolved_the_same_way_in_a_large_catalogue():
    scores = np.random.default_rng(0).integers(5, size=(20, 2000)).astype(np.float32)
    allowed = np.random.default_rng(1).random(scores.shape) < 0.7
    for k in (1, 10, 499, 501, 2000):
        for row, (tracks, _) in enumerate(rank_scores(scores, allowed, k)):
            order = np.argsort(-scores[row], kind="stable")
            np.testing.assert_array_equal(tracks, order[allowed[row][order]][:k])


def test_scores_may_be_read_only():
    scores = np.broadcast_to(np.array([1, 3, 2], np.float32), (4, 3))
    assert [tracks.tolist() for tracks, _ in rank_scores(scores, np.ones((4, 3), np.bool_), 2)] == [[1, 2]] * 4


@given(rows)
def test_rows_come_back_as_they_were_put_in(content):
    built = ranked(content)
    assert len(built) == len(content)
    assert as_lists(built) == content
    assert [(t.tolist(), s.tolist()) for t, s in map(built.__getitem__, range(len(built)))] == content


@given(st.lists(rows, max_size=4))
def test_concatenate_puts_one_batch_after_the_other(batches):
    together = Ranked.concatenate([ranked(batch) for batch in batches])
    assert as_lists(together) == [row for batch in batches for row in batch]


@given(rows, st.randoms(use_true_random=False))
def test_select_keeps_the_queries_of_the_mask(content, random):
    mask = np.array([random.random() < 0.5 for _ in content], np.bool_)
    expected = [row for row, keep in zip(content, mask, strict=True) if keep]
    assert as_lists(ranked(content).select(mask)) == expected


def test_a_row_that_is_not_there_is_an_error():
    with pytest.raises(IndexError):
        ranked([([1], [0.5])])[1]


@given(rows, st.integers(0, 6), st.integers(0, 7))
def test_a_stretch_of_queries(content, start, stop):
    start = min(start, len(content))
    stop = max(start, stop)
    part = ranked(content).between(start, stop)
    assert [(tracks.tolist(), scores.tolist()) for tracks, scores in part] == content[start:stop]


@given(
    st.dictionaries(st.integers(0, 60), st.sampled_from([-1.5, 0.0, 0.25, np.inf, np.nan]), max_size=40),
    st.integers(1, 50),
)
def test_best_songs_are_a_stable_sort_of_what_is_finite(scores, k):
    songs = np.array(sorted(scores), np.int32)
    found, values = best_songs(songs, np.array([scores[song] for song in songs.tolist()], np.float32), k)
    expected = sorted((song for song in scores if np.isfinite(scores[song])), key=lambda song: (-scores[song], song))
    assert found.tolist() == expected[:k]
    assert values.tolist() == [scores[song] for song in expected[:k]]


@pytest.mark.parametrize(
    "spread", ["random", "ties", "ascending", "only the sampled are low", "only the sampled are high"]
)
def test_the_best_of_a_large_catalogue_are_exact_wherever_they_lie(spread):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, 20_000)).astype(np.float32)
    if spread == "ties":
        scores = np.round(scores)
    if spread == "ascending":
        scores.sort(axis=1)
    if spread == "only the sampled are low":
        scores[:, ::SAMPLED] -= 100
    if spread == "only the sampled are high":
        scores[:, ::SAMPLED] += 100
    allowed = rng.random(20_000) < 0.5
    for k in (1, 500, 15_000):
        for row, (tracks, _) in enumerate(rank_scores(scores, allowed, k)):
            order = np.argsort(-scores[row], kind="stable")
            np.testing.assert_array_equal(tracks, order[allowed[order]][:k])
