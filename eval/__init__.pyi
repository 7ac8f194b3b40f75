from .measurement import measure
from .metrics.registry import METRICS, all_metrics
from .statistics import bootstrap_intervals, paired_tests

__all__ = ["METRICS", "all_metrics", "bootstrap_intervals", "measure", "paired_tests"]

__version__: str
