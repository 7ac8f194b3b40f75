"""Minutes of a build against the size of the catalogue."""

from collections.abc import Sequence
from math import log10

from eval.bench.building.suite import Built
from eval.report.charts import line_chart
from eval.report.figures import Figure
from eval.report.page import picture

STYLES = {"all steps": "s1", "tuning": "s2", "encoder": "s4", "models": "s3"}
STEPS = {"tuning": ("tuning",), "encoder": ("stage 1", "stage 2", "embed"), "models": ("models",)}


def build_picture(found: Sequence[Built], where: str) -> str:
    """An HTML page that asks nothing of the network. where: the machine, in words."""
    lines = {"all steps": [one.minutes for one in found]}
    for name, steps in STEPS.items():
        lines[name] = [sum(step.seconds for step in one.steps if step.name in steps) / 60 for one in found]
    values = {name: [Figure(each, each, each) for each in line] for name, line in lines.items()}
    sizes, places = [f"{one.songs:,}" for one in found], [log10(one.songs) for one in found]
    title = "A build against the size of the catalogue"
    chart = line_chart(title, "songs (simulated)", "minutes", sizes, values, STYLES, places)
    about = f"From tables to a published index; songs and plays are simulated, without sound. {where}."
    return picture(title, about, [chart])
