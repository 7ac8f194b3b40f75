"""Recall against time of every kind of index, a chart for each size of catalogue."""

from collections.abc import Mapping, Sequence

from eval.bench.searching.suite import Point
from eval.report.charts import Chart, curve_chart
from eval.report.page import picture
from recsys.index.recall import K

STYLES = {"flat": "s6", "hnsw": "s2", "ivf": "s1", "ivfpq": "s4"}


def search_picture(points: Mapping[int, Sequence[Point]], where: str) -> str:
    """An HTML page that asks nothing of the network. where: the machine, in words."""
    note = f"Vectors are simulated: clusters on a sphere. {where}."
    return picture("Vector search: recall against time", note, [_chart(songs, points[songs]) for songs in points])


def _chart(songs: int, points: Sequence[Point]) -> Chart:
    curves: dict[str, list[tuple[float, float, str]]] = {}
    for point in sorted(points, key=lambda each: each.milliseconds):
        text = f"{point.kind}, {point.effort}: {point.milliseconds:.2f} ms, recall@{K} {point.recall:.3f}"
        curves.setdefault(point.kind, []).append((point.milliseconds, point.recall, text))
    title, x_label = f"{songs:,} songs (simulated)", "milliseconds for a query asked alone"
    return curve_chart(title, x_label, f"recall@{K}", curves, STYLES)
