"""`python -m recsys.recommend`: songs for a listener, a playlist, a song or a few words, as a table or as JSON."""

import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.table import Table

from data.console.command import WorkspaceOption, run
from data.console.results import results_console
from data.errors import UnknownIdError, UserError, closest

if TYPE_CHECKING:  # importing them takes seconds, and a name that does not exist is refused before
    from data.dataset import Dataset
    from recsys.ranking.recommendation import Recommendation
    from recsys.recommender import Recommender
    from recsys.wishes import WishFields

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    user: Annotated[str | None, typer.Option(help="A listener of the dataset.")] = None,
    playlist: Annotated[
        str | None, typer.Option(help="Songs to continue: ids, titles, artist:NAME; with commas.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The playlist's title; alone or with --playlist.")] = None,
    like: Annotated[str | None, typer.Option(help="A song, by id or title, or artist:NAME: what sounds so.")] = None,
    text: Annotated[str | None, typer.Option(help="Words, e.g. 'calm orchestral'.")] = None,
    path: Annotated[
        tuple[str, str] | None, typer.Option(help="Two songs, by id or title: songs that lead from one to the other.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many songs.")] = 10,
    heard: Annotated[bool, typer.Option("--heard", help="With --user: songs they have played as well.")] = False,
    per_artist: Annotated[
        int | None, typer.Option(min=0, help="At most so many songs by one artist; 0: any number. Usually 2.")
    ] = None,
    per_album: Annotated[int | None, typer.Option(min=0, help="At most so many songs of one album.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="Several versions of one recording.")] = False,
    block: Annotated[str | None, typer.Option(help="Songs never to be answered: ids or titles, with commas.")] = None,
    block_artist: Annotated[str | None, typer.Option(help="Artists never to be answered, with commas.")] = None,
    only: Annotated[str | None, typer.Option(help="The only songs to choose from: ids or titles, with commas.")] = None,
    genre: Annotated[str | None, typer.Option(help="Songs of one of these genres, with commas.")] = None,
    language: Annotated[str | None, typer.Option(help="Songs in one of these languages, with commas.")] = None,
    tag: Annotated[str | None, typer.Option(help="Songs with all these tags, genres, languages.")] = None,
    released: Annotated[str | None, typer.Option(help="From and to: 1990..1999, 2024-05-01.., ..1979.")] = None,
    duration: Annotated[
        str | None, typer.Option(help="Shortest and longest in seconds: 120..300, 60.., ..600.")
    ] = None,
    playable: Annotated[
        bool | None, typer.Option(help="Songs with an audio file alone. Not said: where any song has one.")
    ] = None,
    more_like: Annotated[
        str | None, typer.Option(help="More like these: ids, titles, artist:NAME, album:NAME.")
    ] = None,
    less_like: Annotated[str | None, typer.Option(help="Less like these, named in the same way.")] = None,
    diversity: Annotated[float, typer.Option(min=0, max=1, help="How little alike the songs are, 0 to 1.")] = 0.0,
    discovery: Annotated[
        float | None, typer.Option(min=0, max=1, help="From heard songs alone, 0, to new and little known ones, 1.")
    ] = None,
    day: Annotated[str | None, typer.Option(help="A list of its own for this day: 2026-11-28, or today.")] = None,
    seed: Annotated[int | None, typer.Option(help="A list of its own for this number.")] = None,
    not_again: Annotated[
        int | None, typer.Option(min=1, help="Days in which no song comes again: with --heard or --day.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Recommend from a workspace that build_index has finished."""
    asked = {"--user": user, "--playlist or --title": playlist or title, "--like": like, "--text": text, "--path": path}
    if sum(value is not None for value in asked.values()) != 1:
        raise UserError("nothing to recommend for", f"Give one of {', '.join(asked)}.")
    dataset = _open(Path(workspace))
    wished: dict[str, object] = {
        "heard": heard or None,
        "per_artist": per_artist,
        "per_album": per_album,
        "versions": versions or None,
        "blocked": songs_of(dataset, block) if block else None,
        "blocked_artists": _listed(block_artist),
        "only": songs_of(dataset, only) if only else None,
        "genres": _listed(genre),
        "languages": _listed(language),
        "tags": _listed(tag),
        "released": _ends(released),
        "duration": _ends(duration, float),
        "playable": playable,
        "more_like": songs_of(dataset, more_like) if more_like else None,
        "less_like": songs_of(dataset, less_like) if less_like else None,
        "diversity": diversity or None,
        "discovery": discovery,
        "day": date.today() if day == "today" else day,
        "seed": seed,
        "not_again_days": not_again,
    }
    wishes = cast("WishFields", {name: wish for name, wish in wished.items() if wish is not None})
    if path is not None:
        start, goal = (resolve(dataset, name) for name in path)
        heading, answer = (
            f"From {path[0]} to {path[1]}",
            lambda recommender, k: recommender.path(start, goal, k, **wishes),
        )
    else:
        heading, answer = _question(dataset, workspace, user, playlist, title, like, text, wishes)
    from recsys.recommender import Recommender

    found = answer(Recommender.load(workspace), k)
    if not found and text is not None:
        raise UserError("nothing to show", "Try a title, an artist, or words of a genre or mood.")
    if as_json:
        sys.stdout.write(json.dumps([asdict(song) for song in found], ensure_ascii=False, indent=1) + "\n")
        return
    results_console().print(table(heading, found))


def _open(root: Path) -> "Dataset":
    """The dataset of what answers. Raises UserError where there is none, or no index was built from it."""
    from data.dataset import load_dataset
    from data.storage.workspace import Workspace
    from recsys.live.versions import live

    space = live(Workspace(root))
    dataset = load_dataset(space)
    if not (space.index / "CURRENT").exists():
        raise UserError(f"no index in {space.index}", f"Run python -m recsys.build_index --workspace {root} first.")
    return dataset


def _question(
    dataset: "Dataset",
    workspace: str,
    user: str | None,
    playlist: str | None,
    title: str | None,
    like: str | None,
    text: str | None,
    wishes: "WishFields",
) -> tuple[str, Callable[["Recommender", int], "list[Recommendation]"]]:
    """The heading of the answer, and what to ask the recommender; every name is checked before it is loaded."""
    if user is not None:
        _known_user(dataset, user, workspace)
        return f"For {user}", lambda recommender, k: recommender.recommend(user, k, **wishes)
    if like is not None:
        from data.dataset import song_name

        track = resolve(dataset, like)
        row = dataset.track_ids.find(track)
        name = track.partition(":")[2] if row is None else song_name(dataset, row)
        return f"Like {name}", lambda recommender, k: recommender.similar(track, k, **wishes)
    if text is not None:
        return f'For "{text}"', lambda recommender, k: recommender.search(text, k, **wishes)
    tracks = songs_of(dataset, playlist or "")
    heading = f'To continue "{title}"' if title else f"To follow {len(tracks)} songs"
    return heading, lambda recommender, k: recommender.continue_playlist(tracks, title, k, **wishes)


def _known_user(dataset: "Dataset", user: str, workspace: str) -> None:
    from data.events.store import EventStore
    from data.storage.workspace import Workspace

    users = dataset.user_ids
    if users.find(user) is None and not EventStore(Workspace(Path(workspace)).events).plays([user]):
        near = closest(user, users.names)
        raise UnknownIdError(
            f'no listener "{user}" in {workspace}/dataset ({len(users):,} listeners{near})',
            'Use --like TRACK or --text "..." for someone new.',
        )


def _listed(names: str | None) -> list[str] | None:
    """Names separated by commas."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def _ends(window: str | None, read: Callable[[str], object] = str) -> tuple[object, object] | None:
    """Both ends of FROM..TO, None for one that is left open; one value alone is both. Raises UserError."""
    if window is None:
        return None
    first, dots, last = window.partition("..")
    try:
        ends = [read(end.strip()) if end.strip() else None for end in (first, last if dots else first)]
    except ValueError:
        raise UserError(f'"{window}" is no range of numbers', "Give FROM..TO; either may be left out.") from None
    return ends[0], ends[1]


def songs_of(dataset: "Dataset", listed: str) -> list[str]:
    """The track_ids of songs separated by commas, some of which may belong to an id or a title.

    The longest run of parts that names a song is one. Raises UnknownIdError where the first part of a rest names none.
    """
    parts = [part for part in listed.split(",") if part.strip()]
    found: list[str] = []
    at = 0
    while at < len(parts):
        for end in range(len(parts), at, -1):
            name = ",".join(parts[at:end]).strip()
            try:
                found.append(resolve(dataset, name))
            except UnknownIdError:
                if end == at + 1:
                    raise
            else:
                at = end
                break
    return found


def resolve(dataset: "Dataset", name: str) -> str:
    """The track_id of a song given by id or by title (case does not matter); `artist:NAME` and `album:NAME` stay.

    Raises UnknownIdError where no song has it, UserError where several have the title.
    """
    known_row = dataset.track_ids.find(name)
    if known_row is not None:
        return dataset.track_ids.names[known_row]
    titles = dataset.tracks["title"].str.normalize("NFKC").str.strip_chars().str.to_lowercase()
    wanted = unicodedata.normalize("NFKC", name).strip().lower()
    rows = [int(row) for row in (titles == wanted).fill_null(False).arg_true()]
    if len(rows) == 1:
        return dataset.track_ids.names[rows[0]]
    if name.startswith(("artist:", "album:")):
        return name
    if rows:
        ids = ", ".join(dataset.track_ids.to_names(rows[:4]))
        raise UserError(f'{len(rows)} songs are called "{name}"', f"Give an id: {ids}")
    known = [*dataset.track_ids.names, *(title for title in dataset.tracks["title"] if title)]
    raise UnknownIdError(f'no song "{name}" ({len(dataset.track_ids):,} songs{closest(name, known)})')


def table(heading: str, found: Sequence["Recommendation"]) -> Table:
    """Rank, title, artist and why, as a person would read it."""
    shown = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
    shown.add_column("#", justify="right")
    for column in ("title", "artist", "why"):
        shown.add_column(column, overflow="ellipsis", no_wrap=column != "why", max_width=44)
    for rank, song in enumerate(found, start=1):
        shown.add_row(str(rank), song.title or song.track_id, song.artist or "", song.reason)
    return shown


if __name__ == "__main__":
    run(app)
