"""A metric written as text is read back as the same metric."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics.metric import Metric
from eval.metrics.registry import METRICS

NAMES = st.from_regex(r"[a-z][a-z_]*", fullmatch=True)
SLICES = st.one_of(st.just(""), st.from_regex(r"[a-z]+(:[0-9]+-[0-9]+)?(/[a-z]+)?", fullmatch=True))


@given(SLICES, NAMES, st.one_of(st.none(), st.integers(1, 10_000)))
def test_what_is_written_is_read_back(of: str, name: str, k: int | None) -> None:
    assert Metric.parse(str(Metric(of, name, k))) == Metric(of, name, k)


@pytest.mark.parametrize("text", [*METRICS, "cold/ndcg@100", "seeds:1-5/clicks", "text_to_audio_recall@10"])
def test_every_text_is_written_as_it_was_read(text: str) -> None:
    found = Metric.parse(text)
    assert str(found) == text == found.prefix + found.plain
