"""The tuned fusion against its parts, on validation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.fusion import METHODS, FusionSettings, fuse
from recsys.quality import Targets, hits, ndcg
from recsys.ranked import Ranked, rank_scores
from recsys.tuning import WEIGHTS, tune_fusion

TRACKS, QUERIES, K = 40, 12, 40
PLAYED = np.zeros(TRACKS, np.bool_)


def world(seed: int, skills: list[float]) -> tuple[dict[str, Ranked], Targets]:
    """Sources that see the targets the better the greater their skill; a negative one is worse than chance."""
    rng = np.random.default_rng(seed)
    right = rng.random((QUERIES, TRACKS)) < 0.1
    right[:, 0] = True
    allowed = rng.random((QUERIES, TRACKS)) < 0.9
    rankings = {}
    for number, skill in enumerate(skills):
        scores = (skill * right + rng.normal(size=right.shape)).astype(np.float32)
        rankings[f"source-{number}"] = rank_scores(scores, allowed, K)
    return rankings, Targets.from_rows([np.flatnonzero(row) for row in right])


def quality_of(targets: Targets):
    return lambda ranked: float(ndcg(hits(ranked, targets, 10, TRACKS), targets.counts(), 10).mean())


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.lists(st.sampled_from([-2.0, 0.0, 0.5, 2.0, 4.0]), min_size=1, max_size=4))
def test_is_never_below_the_best_single_source_nor_equal_weights(seed, skills):
    rankings, targets = world(seed, skills)
    quality = quality_of(targets)
    reached, _ = tune_fusion(rankings, quality, PLAYED, K)
    assert reached >= max(map(quality, rankings.values()))
    for method in METHODS:
        equal = FusionSettings(method=method, weights=dict.fromkeys(rankings, 1.0))
        assert reached >= quality(fuse(rankings, equal, PLAYED, K))


def test_what_is_reported_is_what_the_settings_reach():
    rankings, targets = world(3, [2.0, 1.0, -1.0])
    quality = quality_of(targets)
    reached, chosen = tune_fusion(rankings, quality, PLAYED, K)
    assert quality(fuse(rankings, chosen, PLAYED, K)) == reached
    assert set(chosen.weights) == set(rankings)
    assert set(chosen.weights.values()) <= set(WEIGHTS)
    assert any(chosen.weights.values())


def test_two_half_blind_sources_are_better_together():
    rng = np.random.default_rng(0)
    right = rng.random((QUERIES, TRACKS)) < 0.2
    sees = rng.random((2, 1, TRACKS)) < 0.5
    noise = 0.1 * rng.normal(size=(2, QUERIES, TRACKS))
    everything = np.ones((QUERIES, TRACKS), np.bool_)
    rankings = {str(n): rank_scores((right * sees[n] + noise[n]).astype(np.float32), everything, K) for n in range(2)}
    quality = quality_of(Targets.from_rows([np.flatnonzero(row) for row in right]))
    reached, _ = tune_fusion(rankings, quality, PLAYED, K)
    assert reached > max(map(quality, rankings.values())) + 0.02


def test_new_songs_get_weights_of_their_own():
    rng = np.random.default_rng(0)
    right = rng.random((QUERIES, TRACKS)) < 0.3
    new = np.arange(TRACKS) >= TRACKS // 2
    everything = np.ones((QUERIES, TRACKS), np.bool_)
    noise = rng.normal(size=(3, QUERIES, TRACKS))
    of_plays = {str(n): rank_scores((right + noise[n]).astype(np.float32), everything & ~new, K) for n in range(2)}
    of_content = rank_scores((right + noise[2]).astype(np.float32), everything, K)
    quality = quality_of(Targets.from_rows([np.flatnonzero(row & new) for row in right]))
    _, chosen = tune_fusion(of_plays | {"content": of_content}, quality, new, K)
    assert set(chosen.unplayed_weights) == {"content"}
    best = fuse(of_plays | {"content": of_content}, chosen, new, 5)
    assert new[best.tracks].mean() > 0.9
    same = fuse(of_plays | {"content": of_content}, FusionSettings(weights=chosen.weights), new, 5)
    assert new[best.tracks].mean() > new[same.tracks].mean()


def test_same_input_same_choice():
    rankings, targets = world(5, [1.0, 1.0, 0.0])
    assert tune_fusion(rankings, quality_of(targets), PLAYED, K) == tune_fusion(
        rankings, quality_of(targets), PLAYED, K
    )


def test_without_anything_to_validate_on_all_weigh_the_same():
    rankings, _ = world(1, [1.0, 2.0])

    def quality(_: Ranked) -> float:
        pytest.fail("there is nothing to measure with")

    reached, chosen = tune_fusion(rankings, quality, PLAYED, K, search=False)
    assert reached == 0
    assert chosen == FusionSettings(method="reciprocal-rank", weights={"source-0": 1.0, "source-1": 1.0})
