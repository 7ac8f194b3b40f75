"""Milliseconds of an answer against the size of the catalogue."""

from collections.abc import Sequence
from math import log10

from eval.bench.answering.suite import Measured
from eval.report.charts import line_chart
from eval.report.figures import Figure
from eval.report.page import picture

STYLES = {"99 of 100": "s2", "median": "s1", "median, without reasons": "s4"}


def answer_picture(found: Sequence[Measured], where: str) -> str:
    """An HTML page that asks nothing of the network. where: the machine, in words."""
    lines = {
        "99 of 100": [one.p99 for one in found],
        "median": [one.p50 for one in found],
        "median, without reasons": [one.unexplained for one in found],
    }
    values = {name: [Figure(each, each, each) for each in line] for name, line in lines.items()}
    sizes, places = [f"{one.songs:,}" for one in found], [log10(one.songs) for one in found]
    title = "One listener's answer against the size of the catalogue"
    chart = line_chart(title, "songs (simulated)", "milliseconds", sizes, values, STYLES, places)
    return picture(title, f"Listeners, plays and vectors are simulated; all sources. {where}.", [chart])
