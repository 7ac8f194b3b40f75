"""The tuned fusion against its parts, on validation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys.ranked import Ranked, rank_scores
from recsys.ranking.fusion import METHODS, FusionSettings, Proposals, fuse
from recsys.settings import TuningSettings
from recsys.tasks.accuracy import hits, ndcg
from recsys.tasks.targets import Targets
from recsys.tuning.fusion_objective import TargetRanks
from recsys.tuning.fusion_weights import UNPLAYED_WEIGHTS, WEIGHTS, tune_fusion
from recsys.tuning.source_settings import target_gains

NEW_SONGS = 0.25

TRACKS, QUERIES, K = 40, 12, 40
PLAYED = np.zeros(TRACKS, np.bool_)


def world(seed: int, skills: list[float], queries: int = QUERIES) -> tuple[dict[str, Ranked], Targets]:
    """Sources that see the targets the better the greater their skill; a negative one is worse than chance."""
    rng = np.random.default_rng(seed)
    right = rng.random((queries, TRACKS)) < 0.1
    right[:, 0] = True
    allowed = rng.random((queries, TRACKS)) < 0.9
    rankings = {}
    for number, skill in enumerate(skills):
        scores = (skill * right + rng.normal(size=right.shape)).astype(np.float32)
        rankings[f"source-{number}"] = rank_scores(scores, allowed, K)
    return rankings, Targets.from_rows([np.flatnonzero(row) for row in right])


def reached_of(targets: Targets, unplayed: NDArray[np.bool_] = PLAYED):
    """NDCG on all songs, and NEW_SONGS times that on new ones, from whole rankings."""

    def mean_ndcg(ranked: Ranked, wanted: Targets) -> float:
        asked = wanted.nonempty()
        found = hits(ranked.select(asked), wanted.select(asked), K, TRACKS)
        return float(ndcg(found, wanted.select(asked).counts(), K).mean())

    new = targets.restrict(unplayed)
    counted = 0 < new.nonempty().sum() < len(targets)
    return lambda ranked: (mean_ndcg(ranked, targets), NEW_SONGS * mean_ndcg(ranked, new) if counted else 0.0)


def tuned(
    rankings: dict[str, Ranked], targets: Targets, unplayed: NDArray[np.bool_] = PLAYED
) -> tuple[float, FusionSettings]:
    return tune_fusion(rankings, targets, target_gains(targets, unplayed, NEW_SONGS), unplayed, K, TuningSettings())


@settings(max_examples=15)
@given(
    st.integers(0, 10_000),
    st.lists(st.sampled_from([-2.0, 0.0, 0.5, 2.0, 4.0]), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.3]),
)
def test_is_never_below_the_best_single_source(seed, skills, share_new):
    rankings, targets = world(seed, skills)
    unplayed = np.random.default_rng(seed).random(TRACKS) < share_new
    reached = reached_of(targets, unplayed)
    best_alone = max((reached(found) for found in rankings.values()), key=lambda values: values[0])
    value, chosen = tuned(rankings, targets, unplayed)
    among_all, for_new = reached(fuse(rankings, chosen, unplayed, K))
    assert among_all >= best_alone[0] - 1e-6
    assert value == pytest.approx(among_all + for_new)
    assert value >= sum(best_alone) - 1e-6


def test_what_is_reported_is_what_the_settings_reach():
    rankings, targets = world(3, [2.0, 1.0, -1.0])
    reached, chosen = tuned(rankings, targets)
    assert sum(reached_of(targets)(fuse(rankings, chosen, PLAYED, K))) == pytest.approx(reached)
    assert set(chosen.weights) == set(rankings)
    assert set(chosen.weights.values()) <= set(WEIGHTS)
    assert any(chosen.weights.values())


def test_useless_sources_get_no_weight():
    rankings, targets = world(3, [0.0, 1.5, 1.5, -2.0], queries=300)
    assert tuned(rankings, targets)[1].taking_part() == ["source-1", "source-2"]


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(METHODS))
def test_a_race_tells_what_whole_rankings_tell(seed, method):
    rng = np.random.default_rng(seed)
    rankings, targets = world(seed, [2.0, 0.0, 1.0])
    # Coarse scores, so that many songs are equal.
    rankings = {name: Ranked(found.offsets, found.tracks, np.round(found.scores)) for name, found in rankings.items()}
    unplayed = rng.random(TRACKS) < 0.3
    chosen = FusionSettings(
        method=method,
        weights={name: float(rng.choice(WEIGHTS)) for name in rankings},
        unplayed_weights={"source-0": float(rng.choice(UNPLAYED_WEIGHTS))},
    )
    target_ranks = TargetRanks.of(
        Proposals.gather(rankings, method, unplayed), targets, target_gains(targets, unplayed, NEW_SONGS)
    )
    expected = reached_of(targets, unplayed)(fuse(rankings, chosen, unplayed, K))
    assert target_ranks.reached(chosen, K) == pytest.approx(expected)
    assert target_ranks.quality(chosen, K, floor=expected[0]) == pytest.approx(sum(expected))
    assert target_ranks.quality(chosen, K, floor=expected[0] + 0.01) == pytest.approx(expected[0])


def test_a_race_looks_no_deeper_than_k():
    rankings, targets = {"a": Ranked.from_rows([(np.arange(5, dtype=np.int32), -np.arange(5.0))])}, [[2]]
    proposals = Proposals.gather(rankings, "scores", PLAYED)
    target_ranks = TargetRanks.of(proposals, Targets.from_rows(targets), np.ones((1, 2)))
    assert [target_ranks.reached(FusionSettings(method="scores", weights={"a": 1}), k)[0] for k in (2, 3)] == [0, 0.5]


def test_two_half_blind_sources_are_better_together():
    rng = np.random.default_rng(0)
    right = rng.random((QUERIES, TRACKS)) < 0.2
    sees = rng.random((2, 1, TRACKS)) < 0.5
    noise = 0.1 * rng.normal(size=(2, QUERIES, TRACKS))
    everything = np.ones((QUERIES, TRACKS), np.bool_)
    rankings = {str(n): rank_scores((right * sees[n] + noise[n]).astype(np.float32), everything, K) for n in range(2)}
    targets = Targets.from_rows([np.flatnonzero(row) for row in right])
    reached, _ = tuned(rankings, targets)
    assert reached > max(reached_of(targets)(found)[0] for found in rankings.values()) + 0.02


def test_new_songs_get_weights_of_their_own():
    rng = np.random.default_rng(0)
    right = rng.random((QUERIES, TRACKS)) < 0.3
    new = np.arange(TRACKS) >= TRACKS // 2
    everything = np.ones((QUERIES, TRACKS), np.bool_)
    noise = rng.normal(size=(3, QUERIES, TRACKS))
    of_plays = {str(n): rank_scores((right + noise[n]).astype(np.float32), everything & ~new, K) for n in range(2)}
    of_content = rank_scores((right + noise[2]).astype(np.float32), everything, K)
    targets = Targets.from_rows([np.flatnonzero(row & new) for row in right])
    _, chosen = tuned(of_plays | {"content": of_content}, targets, new)
    assert set(chosen.unplayed_weights) == {"content"}
    best = fuse(of_plays | {"content": of_content}, chosen, new, 5)
    assert new[best.tracks].mean() > 0.9
    same = fuse(of_plays | {"content": of_content}, FusionSettings(weights=chosen.weights), new, 5)
    assert new[best.tracks].mean() > new[same.tracks].mean()


def test_same_input_same_choice():
    rankings, targets = world(5, [1.0, 1.0, 0.0])
    assert tuned(rankings, targets) == tuned(rankings, targets)


def test_without_anything_to_validate_on_all_weigh_the_same():
    rankings, _ = world(1, [1.0, 2.0])
    reached, chosen = tuned(rankings, Targets.from_rows([[] for _ in range(QUERIES)]))
    assert reached == 0
    assert chosen == FusionSettings(method="reciprocal-rank", weights={"source-0": 1.0, "source-1": 1.0})
