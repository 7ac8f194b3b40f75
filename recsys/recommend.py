"""`python -m recsys.recommend`: songs for a listener, a playlist, a song or a few words, as a table or as JSON."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from data.console.command import WorkspaceOption, run
from data.dataset import Dataset
from data.errors import UnknownIdError, UserError, closest
from recsys.ranking.reasons import reason_of, song_name
from recsys.ranking.recommendation import Recommendation
from recsys.recommender import Recommender

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    user: Annotated[str | None, typer.Option(help="A listener of the dataset.")] = None,
    playlist: Annotated[str | None, typer.Option(help="Songs to continue: ids or titles, separated by commas.")] = None,
    title: Annotated[str | None, typer.Option(help="The playlist's title; alone or with --playlist.")] = None,
    like: Annotated[str | None, typer.Option(help="A song, by id or title: what sounds and reads like it.")] = None,
    text: Annotated[str | None, typer.Option(help="Words, e.g. 'calm orchestral'.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many songs.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Recommend from a workspace that build_index has finished."""
    asked = {"--user": user, "--playlist or --title": playlist or title, "--like": like, "--text": text}
    if sum(value is not None for value in asked.values()) != 1:
        raise UserError("say for whom or what", f"Give one of {', '.join(asked)}.")
    recommender = Recommender.load(workspace)
    dataset = recommender.dataset
    if user is not None:
        heading, found = f"For {user}", _for_user(recommender, user, k, workspace)
    elif like is not None:
        track = resolve(dataset, like)
        heading, found = f"Like {song_name(dataset, track)}", recommender.similar(track, k)
    elif text is not None:
        heading, found = f'For "{text}"', recommender.search(text, k)
    else:
        tracks = [resolve(dataset, part.strip()) for part in (playlist or "").split(",") if part.strip()]
        heading = f'To continue "{title}"' if title else f"To follow {len(tracks)} songs"
        found = recommender.continue_playlist(tracks, title, k)
    if as_json:
        sys.stdout.write(json.dumps([asdict(song) for song in found], ensure_ascii=False, indent=1) + "\n")
        return
    Console(width=None if sys.stdout.isatty() else 110).print(table(heading, found, dataset))


def _for_user(recommender: Recommender, user: str, k: int, workspace: str) -> list[Recommendation]:
    users = recommender.dataset.user_ids
    if user not in users:
        near = closest(user, users.names)
        raise UnknownIdError(
            f'no listener "{user}" in {workspace}/dataset ({len(users):,} listeners{near})',
            'Use --like TRACK or --text "..." for someone new.',
        )
    return recommender.recommend(user, k)


def resolve(dataset: Dataset, name: str) -> str:
    """The track_id of a song given by id or by title (case does not matter).

    Raises UnknownIdError where no song has it, UserError where several have the title.
    """
    if name in dataset.track_ids:
        return name
    titles = dataset.tracks["title"].str.to_lowercase()
    rows = [int(row) for row in (titles == name.lower()).fill_null(False).arg_true()]
    if len(rows) == 1:
        return dataset.track_ids.names[rows[0]]
    if rows:
        ids = ", ".join(dataset.track_ids.to_names(rows[:4]))
        raise UserError(f'{len(rows)} songs are called "{name}"', f"Give an id: {ids}")
    known = [*dataset.track_ids.names, *(title for title in dataset.tracks["title"] if title)]
    raise UnknownIdError(f'no song "{name}" ({len(dataset.track_ids):,} songs{closest(name, known)})')


def table(heading: str, found: Sequence[Recommendation], dataset: Dataset) -> Table:
    """Rank, title, artist and why, as a person would read it."""
    shown = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
    shown.add_column("#", justify="right")
    for column in ("title", "artist", "why"):
        shown.add_column(column, overflow="ellipsis", no_wrap=column != "why", max_width=44)
    shown.add_column("score", justify="right")
    for rank, song in enumerate(found, start=1):
        shown.add_row(
            str(rank), song.title or song.track_id, song.artist or "", reason_of(song, dataset), f"{song.score:.3f}"
        )
    return shown


if __name__ == "__main__":
    run(app)
