"""The ranker puts the first candidates in another order, and touches nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings
from recsys.ranking.learned.features import names
from recsys.ranking.learned.ranker import RankerChoice, first_of, reordered
from recsys.tasks import TASKS
from recsys.tuning.choices import Choices


def rows(lengths: list[int]) -> Ranked:
    return Ranked.from_rows([(np.arange(n, dtype=np.int32), np.linspace(1, 0, n).astype(np.float32)) for n in lengths])


@given(st.lists(st.integers(0, 12), max_size=6), st.integers(1, 8), st.integers(0, 99))
def test_the_head_is_ordered_by_score_and_the_tail_stays(lengths: list[int], first: int, seed: int) -> None:
    fused = rows(lengths)
    head = first_of(fused, first)
    assert [len(tracks) for tracks, _ in head] == [min(n, first) for n in lengths]
    scores = np.random.default_rng(seed).integers(0, 4, len(head.tracks)).astype(np.float64)
    found = reordered(fused, head, scores)
    start = 0
    for (tracks, given_scores), length in zip(found, lengths, strict=True):
        most = min(first, length)
        own = scores[start : start + most]
        wanted = sorted(range(most), key=lambda place: (-own[place], place))
        assert tracks.tolist() == [*wanted, *range(most, length)]
        assert (np.diff(given_scores) <= 0).all()
        start += most


def test_a_ranker_that_looked_at_other_things_does_not_answer() -> None:
    """Its forest would take one column for another."""
    choice = RankerChoice(
        learned_for="discovery",
        sources=["popularity"],
        new_songs=0,
        answers=True,
        queries=300,
        weighted_sum=0.1,
        ranker=0.2,
        deviations=3,
        columns=names([]),
    )
    older = choice.model_copy(update={"columns": names([])[:-1]})
    fusion = dict.fromkeys(TASKS, FusionSettings(weights={"popularity": 1.0}))
    assert Choices(fusion=fusion, rankers={"discovery": choice}).ranker_for("discovery", False) is choice
    found = Choices(fusion=fusion, rankers={"discovery": older})
    assert found.ranker_for("discovery", False) is None
    assert "build_index" in found.answered_by("discovery")
