"""`python -m eval.bench`: timings against floors measured in the same run. A missed target is a result: exit code 0."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.console.command import run
from data.console.progress import say
from data.console.results import results_console
from data.errors import UserError
from data.reporting import done

if TYPE_CHECKING:
    from eval.bench.encoding.sizes import Sizes
    from eval.bench.rows import Row

GROUPS = ("decoding", "encoding", "training", "memory", "gpu", "paper")
DEFAULT = GROUPS[:-1]
SEARCH = ("exact", "short-cuts")
FEWEST_SONGS = 200
EVALUATION = ("ranking", "metrics", "sessions", "large")

Measures = Mapping[str, Callable[[], "list[Row]"]]

app = typer.Typer(add_completion=False, help=__doc__)


@app.callback()
def benches() -> None:
    """Timings against floors measured in the same run."""


@app.command()
def encoders(
    only: Annotated[str | None, typer.Option(help=f"Some of {', '.join(GROUPS)}; default all but paper.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Decode the music in this folder, not made-up files.")] = None,
    full: Annotated[bool, typer.Option(help="Train the full-size model too, and measure paper.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
    tiny: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Decoding, encoding, training and memory of the encoder; the same on a GPU where there is one."""
    names = chosen(only, GROUPS, GROUPS if full else DEFAULT)
    from eval.bench.encoding.paper import paper
    from eval.bench.encoding.sizes import Sizes, tiny_sizes
    from eval.bench.encoding.suite import decoding, encoding, memory, training

    sizes = tiny_sizes() if tiny else Sizes()
    measures: Measures = {
        "decoding": lambda: decoding(sizes, audio),
        "encoding": lambda: encoding(sizes),
        "training": lambda: training(sizes, full),
        "memory": lambda: memory(sizes),
        "gpu": lambda: on_a_gpu(sizes),
        "paper": lambda: paper(sizes),
    }
    report("encoders", measured(measures, names), json_file)


@app.command()
def evaluation(
    only: Annotated[str | None, typer.Option(help=f"Some of {', '.join(EVALUATION)}; default all but large.")] = None,
    full: Annotated[bool, typer.Option(help="Measure large too: the sessions of 100 million listens.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
    tiny: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Ranking a million tracks, metrics, and sessions of millions of listens."""
    names = chosen(only, EVALUATION, EVALUATION if full else EVALUATION[:-1])
    from eval.bench.encoding.sizes import EvaluationSizes, tiny_evaluation
    from eval.bench.evaluating.suite import large, metrics, ranking, sessionising

    sizes = tiny_evaluation() if tiny else EvaluationSizes()
    measures: Measures = {
        "ranking": lambda: ranking(sizes),
        "metrics": lambda: metrics(sizes),
        "sessions": lambda: sessionising(sizes),
        "large": lambda: large(sizes),
    }
    report("evaluation", measured(measures, names), json_file)


@app.command()
def search(
    only: Annotated[str | None, typer.Option(help=f"Some of {', '.join(SEARCH)}; default both.")] = None,
    songs: Annotated[str, typer.Option(help="Sizes of the catalogue; 1000000 takes long.")] = "10000,100000",
    threads: Annotated[int | None, typer.Option(min=1, help="Of FAISS and torch; default one a core.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw recall against time into this HTML file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
    tiny: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Exact search against FAISS's, and recall, time and memory of the kinds that take short cuts."""
    names, sizes = chosen(only, SEARCH, SEARCH), catalogue_sizes(songs)
    from eval.bench.searching import suite

    few = {"repeats": 1, "dimension": 16, "queries": 20, "timed": 3} if tiny else {}
    suite.set_threads(threads)
    rows, points = suite.search(suite.SearchSizes(songs=sizes, **few), names, say)
    report("search", rows, json_file)
    if picture is not None and points:
        from data.storage.atomic_files import write_text
        from eval.bench.rows import circumstances
        from eval.bench.searching.picture import search_picture

        where = circumstances()
        write_text(picture, search_picture(points, f"{where.device}; {where.date}"))
        say(f"Picture in {picture}.")


@app.command()
def recommend(
    songs: Annotated[str, typer.Option(help="Sizes of the catalogue; 1000000 takes long.")] = "1000,10000,50000,100000",
    picture: Annotated[Path | None, typer.Option(help="Draw time against size into this HTML file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
    tiny: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """One listener, batches against implicit's iALS, and memory, by the size of a simulated catalogue."""
    sizes = catalogue_sizes(songs)
    from data.storage.atomic_files import write_text
    from eval.bench.answering.picture import answer_picture
    from eval.bench.answering.suite import AnswerSizes
    from eval.bench.answering.suite import recommend as recommend_suite
    from eval.bench.rows import circumstances

    few = {"plays": 12, "dimension": 8, "warm": 2, "asked": 5, "batch": 4, "repeats": 1} if tiny else {}
    rows, found = recommend_suite(AnswerSizes(songs=sizes, **few), say)
    report("recommend", rows, json_file)
    if picture is not None:
        where = circumstances()
        write_text(picture, answer_picture(found, f"{where.device}; {where.date}"))
        say(f"Picture in {picture}.")


@app.command()
def build(
    songs: Annotated[str, typer.Option(help="Sizes of the catalogue; 1000000 takes half an hour.")] = "10000,100000",
    plays_a_song: Annotated[int, typer.Option(min=1, help="Plays for each song of the catalogue.")] = 10,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Of tuning; default the product's.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw time against size into this HTML file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
) -> None:
    """Each step of a build from simulated tables without sound: time and memory, by the size of the catalogue."""
    sizes = catalogue_sizes(songs)
    from data.storage.atomic_files import write_text
    from eval.bench.building.picture import build_picture
    from eval.bench.building.suite import BuildSizes, build_bench
    from eval.bench.rows import circumstances

    rows, found = build_bench(BuildSizes(sizes, plays_a_song, minutes), say)
    report("build", rows, json_file)
    if picture is not None:
        where = circumstances()
        write_text(picture, build_picture(found, f"{where.device}; {where.date}"))
        say(f"Picture in {picture}.")


def catalogue_sizes(songs: str) -> tuple[int, ...]:
    """`10000,100000` as numbers. Raises UserError for anything else."""
    sizes = tuple(int(size) if size.strip().isdecimal() else 0 for size in songs.split(","))
    if min(sizes) < FEWEST_SONGS:
        raise UserError(f"--songs {songs}: not numbers of songs", f"Give some, {FEWEST_SONGS} or more, commas between.")
    return sizes


def measured(measures: Measures, names: Sequence[str]) -> "list[Row]":
    """The rows of the measures of these names, one after the other."""
    rows: list[Row] = []
    for name in names:
        say(f"  {name} ...")
        started = time.monotonic()
        found = measures[name]()
        rows += found
        done(name, f"{len(found)} rows", time.monotonic() - started)
    return rows


def on_a_gpu(sizes: "Sizes") -> "list[Row]":
    """The measures of a GPU, or none and a line that says so."""
    import torch

    from eval.bench.encoding.gpu import gpu

    if torch.cuda.is_available():
        return gpu(sizes)
    say("  no GPU at hand: nothing measured")
    return []


def report(bench: str, rows: "list[Row]", json_file: Path | None) -> None:
    """The table and what it was measured on, on stdout; the same as JSON where it is wanted."""
    from eval.bench.rows import circumstances, rows_table, write_rows

    where = circumstances()
    out = results_console()
    out.print(rows_table(rows, f"bench: {bench}"))
    for row in rows:
        if row.note:
            out.print(f"{row.measure}: {row.note}", markup=False, soft_wrap=True)
    out.print("ratio: ours / floor, both measured in this run, taking turns", markup=False)
    versions = ", ".join(f"{name} {number}" for name, number in where.versions.items())
    out.print(f"{where.device}; {where.date}; {versions}", markup=False, soft_wrap=True)
    if json_file is not None:
        write_rows(json_file, bench, rows, where)


def chosen(only: str | None, known: Sequence[str], default: Sequence[str]) -> list[str]:
    """The names that `only` lists, in the order of `known`. Raises UserError for a name that is not there."""
    if only is None:
        return list(default)
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in known:
            raise UserError(f'no measure "{name}"', f"Take some of {', '.join(known)}.")
    return [name for name in known if name in names]


if __name__ == "__main__":
    run(app)
