"""The names that cost nothing to import are those of the classes behind them."""

from recsys.candidates import REASONS, SETTINGS, SOURCES
from recsys.line_up import BASELINES, BUILT, EVERY_NAME, FUSED, HTCL_NAMES, IMPUTED, SOURCE_NAMES
from recsys.tuning.search_space import SPACE


def test_names_and_classes_are_the_same_in_the_same_order() -> None:
    assert tuple(SOURCES) == SOURCE_NAMES
    assert tuple(SETTINGS) == tuple(REASONS) == (*SOURCE_NAMES, *HTCL_NAMES, IMPUTED)


def test_every_source_is_fused_or_a_baseline_and_has_a_reason_and_a_search_space() -> None:
    assert set(BUILT) | set(BASELINES) == {*SOURCE_NAMES, *HTCL_NAMES, IMPUTED}
    assert not set(FUSED) & set(BASELINES)
    assert set(REASONS) == set(EVERY_NAME) - {"fused"}
    assert set(SPACE) == {*SOURCE_NAMES, *HTCL_NAMES, IMPUTED}
