"""`python -m data.events`: what listeners do, what is new, what is taken down. Answers reflect it at once."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.console.results import results_console
from data.errors import UserError
from data.events.kinds import Event, Refused, read_events
from data.events.outcome import Outcome
from data.events.store import EventStore, Stored
from data.storage.workspace import Workspace

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print what became of it as JSON on stdout.")]
AtOption = Annotated[str | None, typer.Option(help="When: 2026-11-28T12:00:00Z; now where it is not given.")]
IdOption = Annotated[str | None, typer.Option(help="An id of the event: what has it is stored once.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept with the date.")]
MapOption = Annotated[list[str], typer.Option(help="Columns of the file: title=track_name,user_id=who")]
ARTIST = "artist:"


@app.command()
def listen(
    user: Annotated[str | None, typer.Argument(help="Who played; with --file, where the file names nobody.")] = None,
    track: Annotated[str | None, typer.Argument(help="The song's id.")] = None,
    at: AtOption = None,
    ratio: Annotated[float | None, typer.Option(help="The share that was played, 0 to 1.")] = None,
    id: IdOption = None,
    file: Annotated[Path | None, typer.Option(help="Plays as CSV, TSV, JSONL or Parquet; feedback goes along.")] = None,
    map: MapOption = [],  # noqa: B006
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """A listener played a song; or many, from a file."""
    if file is not None:
        from data.events.files import listens_of

        if track is not None:
            raise UserError("both a song and a file", "Give USER TRACK or --file.")
        _finish(workspace, *listens_of(file, map, user), as_json)
    elif user is None or track is None:
        raise UserError("no listen", "Give USER and TRACK, or --file.")
    else:
        _tell(
            workspace,
            "listen",
            {"user_id": user, "track_id": track, "at": at, "played_ratio": ratio, "id": id},
            as_json,
        )


@app.command()
def feedback(
    user: str,
    track: str,
    word: Annotated[Literal["like", "dislike", "skip"], typer.Argument()],
    at: AtOption = None,
    id: IdOption = None,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """A listener likes, dislikes or skips a song."""
    _tell(workspace, "feedback", {"user_id": user, "track_id": track, "feedback": word, "at": at, "id": id}, as_json)


@app.command()
def block(
    user: str,
    what: Annotated[str, typer.Argument(help="A song's id, or artist:NAME.")],
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """A listener is never answered a song, or any of an artist, again."""
    _tell(workspace, "block", {"user_id": user, **_named(workspace, what)}, as_json)


@app.command()
def unblock(
    user: str,
    what: Annotated[str, typer.Argument(help="As it was blocked.")],
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """The end of a block."""
    _tell(workspace, "unblock", {"user_id": user, **_named(workspace, what)}, as_json)


@app.command()
def remove(
    tracks: Annotated[list[str], typer.Argument(help="Ids of songs.")],
    reason: ReasonOption = "",
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """Take songs down: in no answer from now on, and in no dataset, until they are restored."""
    _tell_each(workspace, "remove", [{"track_id": track, "reason": reason} for track in tracks], as_json)


@app.command()
def restore(
    tracks: Annotated[list[str], typer.Argument(help="Ids of songs that were taken down.")],
    reason: ReasonOption = "",
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """The end of a takedown."""
    _tell_each(workspace, "restore", [{"track_id": track, "reason": reason} for track in tracks], as_json)


@app.command()
def add(
    track: Annotated[str | None, typer.Argument(help="The song's id.")] = None,
    title: Annotated[str | None, typer.Option()] = None,
    artist: Annotated[str | None, typer.Option()] = None,
    album: Annotated[str | None, typer.Option()] = None,
    audio: Annotated[Path | None, typer.Option(help="Its sound file.")] = None,
    file: Annotated[Path | None, typer.Option(help="A tracks table: CSV, TSV, JSONL or Parquet.")] = None,
    map: MapOption = [],  # noqa: B006
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """A new song, or more about one; answered after the next build."""
    if (file is None) == (track is None):
        raise UserError("no song, or a song and a file", "Give TRACK, or --file.")
    if file is not None:
        from data.events.files import songs_of

        _finish(workspace, *songs_of(file, map), as_json)
    else:
        path = None if audio is None else str(audio.resolve())
        row = {"track_id": track, "title": title, "artist": artist, "album": album, "audio_path": path}
        _tell(workspace, "add", {"track": row}, as_json)


@app.command(name="list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Of this kind alone: listen, feedback, block, remove ...")] = None,
    taken_down: Annotated[bool, typer.Option("--taken-down", help="Songs that are taken down now.")] = False,
    since: Annotated[int, typer.Option(min=0, help="Later than the event of this number.")] = 0,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="The latest so many.")] = 20,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """What is stored, latest last."""
    from collections import deque

    store = _store(workspace)
    if taken_down:
        last = {event.track_id: event for event in store.takedowns(since)}
        found: Iterable[Stored] = sorted(event for event in last.values() if event.kind == "remove")
    else:
        found = store.since(max(since, store.last - most)) if kind is None else store.since(since, kinds=(kind,))
    shown = list(deque(found, most))
    if as_json:
        sys.stdout.write(json.dumps([_as_json(event) for event in shown], ensure_ascii=False, indent=1) + "\n")
        return
    console = results_console(soft_wrap=True)
    for event in shown:
        said = [
            event.user_id,
            event.track_id,
            None if event.played_ratio is None else f"{event.played_ratio:g}",
            event.detail,
        ]
        line = f"{event.number:>9}  {event.moment:%Y-%m-%d %H:%M:%S}  {event.kind:<8}  "
        console.print(line + "  ".join(part for part in said if part), markup=False)
    if not shown:
        say(f"Nothing of that in {store.path}.")


@app.command()
def mend(workspace: WorkspaceOption = "workspace", as_json: JsonOption = False) -> None:
    """Keep a damaged store aside and save what can still be read of it."""
    from data.events.mending import mend

    mended = mend(Workspace(Path(workspace)).events)
    if as_json:
        sys.stdout.write(json.dumps({**mended._asdict(), "aside": str(mended.aside)}) + "\n")
    say(f"{mended.saved:,} events saved, {mended.lost:,} could not be read. The file as it was: {mended.aside}")


def _store(workspace: str) -> EventStore:
    """Raises UserError where there is no workspace: a slip of the pen would make one."""
    root = Path(workspace)
    if not root.is_dir():
        raise UserError(f"no workspace {workspace}", "Run python -m data.prepare first, or name another --workspace.")
    return EventStore(Workspace(root).events)


def _tell(workspace: str, kind: str, record: dict[str, Any], as_json: bool) -> None:
    _tell_each(workspace, kind, [{name: value for name, value in record.items() if value is not None}], as_json)


def _tell_each(workspace: str, kind: str, records: Sequence[dict[str, Any]], as_json: bool) -> None:
    """What is typed must be right, or nothing of it is stored."""
    events, refused = read_events(kind, records)
    if refused.total:
        raise UserError(f"no {kind}: {next(iter(refused.count))}", "Nothing was stored; --help shows what is needed.")
    _finish(workspace, events, refused, [], as_json)


def _finish(workspace: str, events: Sequence[Event], refused: Refused, remarks: Sequence[str], as_json: bool) -> None:
    new = _store(workspace).append(events)
    known = _known_songs(workspace)
    unknown = [event.names for event in events if event.names is not None and event.names not in known]
    outcome = Outcome(new, len(events) - new, refused, len(unknown), unknown[0] if unknown else "")
    for line in (*remarks, *outcome.remarks()):
        say(line)
    if as_json:
        sys.stdout.write(json.dumps(outcome.as_json(), ensure_ascii=False, indent=1) + "\n")
    say(f"{new:,} stored" + (f", {outcome.repeated:,} were there already." if outcome.repeated else "."))


def _known_songs(workspace: str) -> set[str]:
    """Of the dataset; none where there is none yet."""
    table = Workspace(Path(workspace)).dataset / "tracks.parquet"
    if not table.is_file():
        return set()
    from data.storage.parquet import scan_parquet

    return set(scan_parquet(table).select("track_id").collect()["track_id"])


def _named(workspace: str, what: str) -> dict[str, str]:
    if what.startswith(ARTIST) and what not in _known_songs(workspace):
        return {"artist": what.removeprefix(ARTIST)}
    return {"track_id": what}


def _as_json(event: Stored) -> dict[str, Any]:
    id = event.id if isinstance(event.id, str) else event.id.hex()
    return {**event._asdict(), "id": id, "at": event.moment.isoformat()}


if __name__ == "__main__":
    run(app)
