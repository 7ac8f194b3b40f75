"""Fusion against plain Python, for both methods."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranked import Ranked
from recsys.ranking import fusion
from recsys.ranking.fusion import METHODS, FusionSettings, Proposals, fuse

TRACKS = 12
PLAYED = np.zeros(TRACKS, np.bool_)
UNPLAYED = np.arange(TRACKS) % 3 == 0
Row = list[tuple[int, float]]

one_row = st.dictionaries(st.integers(0, TRACKS - 1), st.sampled_from([-1.0, 0.0, 0.5, 2.0, 7.5]), max_size=TRACKS).map(
    lambda found: sorted(found.items(), key=lambda item: (-item[1], item[0]))
)


@st.composite
def worlds(draw) -> tuple[dict[str, list[Row]], FusionSettings]:
    """Some sources' rankings of the same queries, and how they are weighed."""
    queries = draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
    rankings = {name: draw(st.lists(one_row, min_size=queries, max_size=queries)) for name in names}
    weight, method = st.sampled_from([0.0, 0.25, 1.0, 4.0]), draw(st.sampled_from(METHODS))
    weights = {name: draw(weight) for name in names}
    unplayed_weights = {name: draw(weight) for name in names if draw(st.booleans())}
    return rankings, FusionSettings(method=method, weights=weights, unplayed_weights=unplayed_weights)


def ranked(rows: list[Row]) -> Ranked:
    return Ranked.from_rows(
        [(np.array([t for t, _ in row], np.int32), np.array([s for _, s in row], np.float32)) for row in rows]
    )


def parts(row: Row, method: str) -> dict[int, float]:
    """What one source gives each song of one query."""
    if method == "reciprocal-rank":
        return {track: 1 / (60 + rank) for rank, (track, _) in enumerate(row, start=1)}
    scores = [score for _, score in row]
    spread = statistics.pstdev(scores) if scores else 0
    return {track: (score - min(scores)) / spread if spread > 0 else 1.0 for track, score in row}


def oracle(rankings: dict[str, list[Row]], settings: FusionSettings, k: int) -> list[Row]:
    answers = []
    for query in range(len(next(iter(rankings.values())))):
        total: dict[int, float] = {}
        for name, rows in rankings.items():
            for track, part in parts(rows[query], settings.method).items():
                weight = settings.weights[name]
                if UNPLAYED[track]:
                    weight = settings.unplayed_weights.get(name, weight)
                if weight > 0:
                    total[track] = total.get(track, 0.0) + weight * part
        answers.append(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:k])
    return answers


@given(worlds(), st.integers(1, TRACKS + 3))
def test_agrees_with_plain_python(world, k):
    rankings, settings = world
    found = fuse({name: ranked(rows) for name, rows in rankings.items()}, settings, UNPLAYED, k)
    expected = oracle(rankings, settings, k)
    assert len(found) == len(expected)
    for (tracks, scores), row in zip(found, expected, strict=True):
        by_track = dict(row)
        assert len(np.unique(tracks)) == len(tracks) == len(row)
        np.testing.assert_allclose(scores, [score for _, score in row], rtol=1e-5, atol=1e-6)
        for track, score in zip(tracks.tolist(), scores, strict=True):
            # Another order, or another song at the cut, only where rounding decides between equals.
            assert by_track.get(track, row[-1][1]) == pytest.approx(float(score), rel=1e-5, abs=1e-6)


@given(worlds())
def test_one_query_equals_a_batch_of_one(world):
    rankings, settings = world
    batch = fuse({name: ranked(rows) for name, rows in rankings.items()}, settings, UNPLAYED, 5)
    for query, (tracks, scores) in enumerate(batch):
        alone = fuse({name: ranked([rows[query]]) for name, rows in rankings.items()}, settings, UNPLAYED, 5)[0]
        np.testing.assert_array_equal(tracks, alone[0])
        np.testing.assert_array_equal(scores, alone[1])


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_weight_0_leaves_a_source_out(self, method):
        rankings = {"a": ranked([[(3, 2.0), (1, 1.0)]]), "b": ranked([[(7, 9.0), (3, 8.0)]])}
        found = fuse(rankings, FusionSettings(method=method, weights={"a": 1, "b": 0}), PLAYED, 10)
        assert found.tracks.tolist() == [3, 1]

    def test_a_source_without_a_weight_is_left_out(self, method):
        rankings = {"a": ranked([[(3, 2.0), (1, 1.0)]]), "b": ranked([[(7, 9.0)]])}
        assert fuse(rankings, FusionSettings(method=method, weights={"a": 1}), PLAYED, 10).tracks.tolist() == [3, 1]

    def test_all_weights_0_answer_nothing(self, method):
        found = fuse({"a": ranked([[(3, 2.0)], []])}, FusionSettings(method=method, weights={"a": 0}), PLAYED, 10)
        assert len(found) == 2
        assert not len(found.tracks)

    def test_ties_go_to_the_lower_row(self, method):
        rankings = {"a": ranked([[(9, 1.0)]]), "b": ranked([[(2, 1.0)]])}
        found = fuse(rankings, FusionSettings(method=method, weights={"a": 1, "b": 1}), PLAYED, 2)
        assert found.tracks.tolist() == [2, 9]

    def test_a_single_source_keeps_its_order(self, method):
        row = [(5, 9.0), (1, 4.0), (8, 4.0), (0, -2.0)]
        found = fuse({"a": ranked([row, []])}, FusionSettings(method=method, weights={"a": 0.5}), PLAYED, 3)
        assert [tracks.tolist() for tracks, _ in found] == [[5, 1, 8], []]

    def test_what_two_sources_propose_stands_above_what_one_does(self, method):
        rankings = {"a": ranked([[(4, 3.0), (6, 2.0), (2, 1.0)]]), "b": ranked([[(6, 3.0), (2, 2.0), (9, 1.0)]])}
        best = fuse(rankings, FusionSettings(method=method, weights={"a": 1, "b": 1}), PLAYED, 10).tracks[0]
        assert best == 6


@pytest.mark.parametrize("method", METHODS)
def test_proposals_are_the_same_whether_songs_are_marked_or_sorted(method, monkeypatch):
    rng = np.random.default_rng(0)
    rankings = {
        name: ranked([[(int(t), 1.0) for t in rng.permutation(TRACKS)[: rng.integers(TRACKS)]] for _ in range(5)])
        for name in "abc"
    }
    for depth in (None, 3):
        marked = Proposals.gather(rankings, method, UNPLAYED, depth)
        with monkeypatch.context() as patched:
            patched.setattr(fusion, "MARKED", 0)
            ordered = Proposals.gather(rankings, method, UNPLAYED, depth)
        np.testing.assert_array_equal(marked.keys, ordered.keys)
        for name in rankings:
            for one, other in zip(marked.parts[name], ordered.parts[name], strict=True):
                np.testing.assert_array_equal(one, other)
