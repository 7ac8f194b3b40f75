"""Chart geometry: numbers in, pixel coordinates out. The templates turn them into SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.report.figures import PLAIN_STYLE, Figure, number, told

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 140, 14, 46
LINE = 13
"Height of a label."
CHARACTER = 7.0
"Width of a letter, about."
BAR = 11


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A value: its place, its hover title, and the ends of its interval along the axis of values."""

    x: float
    y: float
    title: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """One model. path: SVG path data of its line; label_x, label_y: where its name stands, None for nowhere."""

    name: str
    style: str
    marks: tuple[Mark, ...]
    path: str = ""
    label_x: float | None = None
    label_y: float | None = None


@dataclass(frozen=True)
class Chart:
    """kind: lines, bars or scatter; description: what a reader who does not see it gets."""

    kind: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that cover low..high, ends included.

    >>> nice_ticks(0, 0.27)
    [0.0, 0.1, 0.2, 0.3]
    """
    reach = high - low
    if not reach > 0:
        return [low, low + 1.0]
    raw = reach / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 10) for at in range(first, last + 1)]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places, moved as little as need be to lie `gap` apart within low..high; closer where there is no room.

    >>> spread([10, 12, 50], gap=10, low=0, high=100)
    [10.0, 20.0, 50.0]
    """
    order = sorted(range(len(places)), key=lambda at: places[at])
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    moved = [float(place) for place in places]
    floor = low
    for at in order:
        moved[at] = max(moved[at], floor)
        floor = moved[at] + gap
    ceiling = high
    for at in reversed(order):
        moved[at] = min(moved[at], ceiling)
        ceiling = moved[at] - gap
    return moved


def line_chart(
    title: str,
    x_label: str,
    metric: str,
    names: Sequence[str],
    values: Mapping[str, Sequence[Figure | None]],
    style: Mapping[str, str],
    positions: Sequence[float] | None = None,
    ticks_at: Sequence[int] | None = None,
) -> Chart:
    """One line a model over named places: cutoffs, numbers of seeds. Names stand at the lines' ends.

    positions: where the places lie; None spaces them evenly. ticks_at: numbers of the places whose names stand at the
    axis; None writes all.
    """
    places = list(positions or range(len(names)))
    width = max(places[-1] - places[0], 1e-9) if places else 1.0
    xs = [LEFT + 14 + (WIDTH - LEFT - RIGHT - 28) * (place - places[0]) / width for place in places]
    ticks = nice_ticks(0.0, max((each.high for row in values.values() for each in row if each), default=1.0))
    drawn = []
    for model in _grey_first(values, style):
        marks = [
            Mark(x, _y(each.mean, ticks), f"{model}, {name}: {told(metric, each)}", *_ends(each, ticks))
            for x, name, each in zip(xs, names, values[model], strict=True)
            if each is not None
        ]
        if marks:
            path = "M" + "L".join(f"{mark.x:.1f} {mark.y:.1f}" for mark in marks)
            drawn.append(Series(model, style.get(model, PLAIN_STYLE), tuple(marks), path))
    ends = spread([each.marks[-1].y for each in drawn], LINE, TOP + 4, HEIGHT - BOTTOM)
    series = tuple(
        Series(each.name, each.style, each.marks, each.path, WIDTH - RIGHT + 12, y)
        for each, y in zip(drawn, ends, strict=True)
    )
    return Chart(
        "lines",
        title,
        _ranking(title, {name: row[-1] for name, row in values.items()}, metric, f"at {names[-1]}" if names else ""),
        x_label,
        "",
        tuple(Tick(xs[at], names[at]) for at in (range(len(names)) if ticks_at is None else ticks_at)),
        tuple(Tick(_y(tick, ticks), f"{tick:g}") for tick in ticks),
        series,
    )


def scatter_chart(
    title: str,
    x_label: str,
    y_label: str,
    metric: str,
    values: Mapping[str, tuple[Figure, Figure]],
    style: Mapping[str, str],
) -> Chart:
    """One dot a model: x, y. A name is left off where it would cover another; the hover title has it."""
    x_ticks = nice_ticks(*_around([x.mean for x, _ in values.values()]))
    y_ticks = nice_ticks(0.0, max((y.mean for _, y in values.values()), default=1.0))
    taken: list[tuple[float, float, float]] = []
    dots = {}
    for model, (x, y) in values.items():
        at = LEFT + (WIDTH - LEFT - RIGHT) * (x.mean - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        text = f"{model}: {x_label} {x.mean:,.3g}, {y_label} {told(metric, y)}"
        dots[model] = Mark(at, _y(y.mean, y_ticks), text)
        taken.append((at - 5, at + 5, dots[model].y))
    series = []
    for model in reversed(_grey_first(values, style)):
        place = _free_place(dots[model], model, taken)
        series.append(Series(model, style.get(model, PLAIN_STYLE), (dots[model],), "", *place))
    return Chart(
        "scatter",
        title,
        _ranking(title, {name: y for name, (_, y) in values.items()}, metric, ""),
        x_label,
        y_label,
        tuple(
            Tick(LEFT + (WIDTH - LEFT - RIGHT) * (tick - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]), f"{tick:g}")
            for tick in x_ticks
        ),
        tuple(Tick(_y(tick, y_ticks), f"{tick:g}") for tick in y_ticks),
        tuple(reversed(series)),
    )


def curve_chart(
    title: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Sequence[tuple[float, float, str]]],
    style: Mapping[str, str],
) -> Chart:
    """A line for each name over positive x on a logarithmic axis: (x, y, hover title), x rising. Names stand at the
    ends of the lines; a line of one place is a dot."""
    xs = [math.log10(x) for curve in curves.values() for x, _, _ in curve]
    low, high = math.floor(min(xs, default=0.0)), math.ceil(max(xs, default=1.0))
    powers = range(low, max(high, low + 1) + 1)
    width = (WIDTH - LEFT - RIGHT) / (powers[-1] - powers[0])
    ticks = nice_ticks(min((y for curve in curves.values() for _, y, _ in curve), default=0.0), 1.0)
    drawn = []
    for name, curve in curves.items():
        marks = tuple(
            Mark(LEFT + width * (math.log10(x) - powers[0]), _y(y, ticks), f"{name}: {text}") for x, y, text in curve
        )
        path = "M" + "L".join(f"{mark.x:.1f} {mark.y:.1f}" for mark in marks)
        drawn.append(Series(name, style.get(name, PLAIN_STYLE), marks, path))
    ends = spread([each.marks[-1].y for each in drawn], LINE, TOP + 4, HEIGHT - BOTTOM)
    best = ", ".join(f"{name} {max(y for _, y, _ in curve):.3f}" for name, curve in curves.items())
    return Chart(
        "lines",
        title,
        f"{title}, the highest {y_label}: {best}",
        x_label,
        y_label,
        tuple(Tick(LEFT + width * (power - powers[0]), f"{10.0**power:g}") for power in powers),
        tuple(Tick(_y(tick, ticks), f"{tick:g}") for tick in ticks),
        tuple(
            Series(each.name, each.style, each.marks, each.path, WIDTH - RIGHT + 12, y)
            for each, y in zip(drawn, ends, strict=True)
        ),
    )


def bar_chart(
    title: str, metric: str, models: Sequence[str], values: Mapping[str, Mapping[str, Figure | None]]
) -> Chart:
    """For every model a bar of each kind. values: kind -> model -> figure; a kind is a series, its name its style."""
    left, right = 16 + CHARACTER * max((len(model) for model in models), default=0), WIDTH - 24
    row = BAR * len(values) + 10
    bottom = TOP + row * len(models)
    reach = [each.high for found in values.values() for each in found.values() if each]
    ticks = nice_ticks(0.0, max(reach, default=1.0))
    series = []
    for at, (kind, found) in enumerate(values.items()):
        marks = []
        for place, model in enumerate(models):
            each = found.get(model)
            if each is not None:
                x, low, high = (left + (right - left) * value / ticks[-1] for value in each)
                y = TOP + row * place + 5 + BAR * at
                marks.append(Mark(x, y, f"{model}, {kind}: {told(metric, each)}", low, high))
        series.append(Series(kind, kind, tuple(marks)))
    return Chart(
        "bars",
        title,
        "; ".join(_ranking(kind, found, metric, "") for kind, found in values.items()),
        "",
        "",
        tuple(Tick(left + (right - left) * tick / ticks[-1], f"{tick:g}") for tick in ticks),
        tuple(Tick(TOP + row * (place + 0.5), model) for place, model in enumerate(models)),
        tuple(series),
        height=bottom + 30,
        left=left,
        right=right,
        bottom=bottom,
    )


def _y(value: float, ticks: Sequence[float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - ticks[0]) / (ticks[-1] - ticks[0])


def _ends(value: Figure, ticks: Sequence[float]) -> tuple[float | None, float | None]:
    return (None, None) if value.low == value.high else (_y(value.low, ticks), _y(value.high, ticks))


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low - 0.5, high + 0.5) if low == high else (low if low < 0 else 0.0, high)


def _grey_first(values: Mapping[str, object], style: Mapping[str, str]) -> list[str]:
    """Coloured ones last, so that they are drawn on top, the first style topmost."""
    coloured = sorted((name for name in values if style.get(name, PLAIN_STYLE) != PLAIN_STYLE), key=lambda n: style[n])
    return [*(name for name in values if name not in coloured), *reversed(coloured)]


def _free_place(dot: Mark, name: str, taken: list[tuple[float, float, float]]) -> tuple[float | None, float | None]:
    """Right of the dot, left of it, above or below: the first place where the name covers nothing."""
    width = CHARACTER * len(name)
    others = [each for each in taken if each != (dot.x - 5, dot.x + 5, dot.y)]
    for dx, dy in ((9, 0), (-9 - width, 0), (-width / 2, -13), (-width / 2, 14), (9, -11), (9, 11)):
        start, end, y = dot.x + dx, dot.x + dx + width, dot.y + dy
        inside = start >= LEFT and end <= WIDTH and TOP <= y <= HEIGHT - BOTTOM - 4
        if inside and not any(start < right and left < end and abs(y - at) < LINE for left, right, at in others):
            taken.append((start, end, y))
            return start, y
    return None, None


def _ranking(title: str, values: Mapping[str, Figure | None], metric: str, where: str) -> str:
    known = sorted(((name, each) for name, each in values.items() if each), key=lambda pair: -pair[1].mean)
    listed = ", ".join(f"{name} {number(metric, each.mean)}" for name, each in known)
    return f"{title}{' ' if where else ''}{where}: {listed}"
