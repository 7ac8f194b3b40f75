"""Importer "listenbrainz": the listens dump, or what one listener has exported.

Dump: listens/YEAR/MONTH.listens, one listen a line. Export: listens/YEAR/MONTH.jsonl with user.json and feedback.jsonl;
before 2025, one JSON array of listens and another of feedback.

A track is the recording that ListenBrainz mapped the listen to, else the one its player named, else the MessyBrainz id
of artist and title as sent, else artist and title themselves. A loved or hated recording becomes a row of its own, at
the time it was marked: written to earlier listens it would tell them their future. Feedback, unlike listens, is held
in memory, since only the listens say which track an older one (with no more than a MessyBrainz id) means.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from data.errors import UserError
from data.identity.codes import isrc
from data.importers.data_set import DataSet
from data.importers.formats.archives import TARS, members
from data.importers.formats.json_records import Broken, elements, lines, moment_of, number_of, text_of, uuid_of
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart

NOBODY = "me"
"The listener of an export that does not say whose it is."
EARLIEST = 1_033_430_400
"October 2002: ListenBrainz takes no earlier listen, but older dumps hold some, with broken clocks."
LATEST = 4_102_444_800
SCORES = {1: "like", -1: "dislike"}
COLUMNS = {
    "tracks": ("track_id", "title", "artist", "album", "tags", "duration_s", "mbid", "isrc"),
    "listens": ("user_id", "track_id", "listened_at", "played_ratio", "feedback"),
}


@dataclass(frozen=True)
class _Feedback:
    """A recording that was loved or hated; at is in microseconds since 1970."""

    user: str
    msid: str | None
    mbid: str | None
    score: str
    at: int


@dataclass
class _Export:
    """What has to be known of an export before its feedback can be read."""

    users: dict[str, str] = field(default_factory=dict)
    "Whose the files below a folder are."
    feedback: list[_Feedback] = field(default_factory=list)
    tracks: dict[str, str] = field(default_factory=dict)
    "Per MessyBrainz id with feedback the track that listens with it are of."


def read(path: Path) -> Iterator[TablePart]:
    """Tracks, listens and rejects of a dump or an export. Raises UserError where there is neither."""
    rows, export, found = Gathered(COLUMNS), _Export(), False
    # A tar is a dump, which has neither of these files, and takes hours to read.
    is_export = not path.name.lower().endswith(TARS)
    for member in members(path, _is_owner) if is_export else ():
        with member.open() as stream:
            owner = _user(dict(elements(stream)))
        export.users[str(PurePosixPath(member.name).parent)] = owner or NOBODY
    for member in members(path, _is_feedback) if is_export else ():
        found = True
        with member.open() as stream:
            yield from _records(stream, member.name, rows, export)
    for member in members(path, _has_listens):
        found = True
        with member.open() as stream:
            yield from _records(stream, member.name, rows, export)
    if not found:
        raise UserError(f"no listens of ListenBrainz in {path}.", f"--path takes {DATA_SET.files}.")
    for mark in export.feedback:
        track = export.tracks.get(mark.msid or "") or mark.mbid or mark.msid
        rows.add("listens", mark.user, track, mark.at, None, mark.score)
        rows.add("tracks", track, None, None, None, None, None, mark.mbid, None)
        if rows.full:
            yield from rows.take()
    yield from rows.take()


def _is_owner(name: str) -> bool:
    return PurePosixPath(name).name == "user.json"


def _is_feedback(name: str) -> bool:
    place = PurePosixPath(name)
    return "feedback" in place.stem and place.suffix in (".jsonl", ".json")


def _has_listens(name: str) -> bool:
    place = PurePosixPath(name)
    known = place.suffix in (".listens", ".jsonl", ".json") and place.stem != "pinned_recording"
    return known and not (_is_owner(name) or _is_feedback(name))


def _records(stream: IO[bytes], name: str, rows: Gathered, export: _Export) -> Iterator[TablePart]:
    place = PurePosixPath(name)
    user = export.users.get(_root(place), NOBODY)
    for where, record in elements(stream) if place.suffix == ".json" else lines(stream):
        source = f"{name}:{where}" if where else name
        if isinstance(record, Broken):
            rows.reject("listens", source, record.reason, record.content)
        elif not isinstance(record, dict):
            rows.reject("listens", source, "not a JSON object", str(record))
        elif "score" in record:
            _keep_feedback(rows, export, record, user, source)
        else:
            _add_listen(rows, export, record, user, source)
        if rows.full:
            yield from rows.take()


def _root(place: PurePosixPath) -> str:
    """The folder of the user.json that goes with a file."""
    folders = place.parent.parts
    return str(PurePosixPath(*folders[: folders.index("listens")] if "listens" in folders else folders))


def _user(record: Mapping[str, object]) -> str | None:
    """The number of a listener; the name where there is none."""
    user = record.get("user_id")
    if isinstance(user, int) and not isinstance(user, bool):
        return str(user)
    return text_of(user) or text_of(record.get("user_name")) or text_of(record.get("username"))


def _add_listen(rows: Gathered, export: _Export, record: Mapping[str, object], user: str, source: str) -> None:
    heard, info, mapped = _metadata(record)
    title, artist = text_of(heard.get("track_name")), text_of(heard.get("artist_name"))
    msid = next((text for of in (record, heard, info) if (text := uuid_of(of.get("recording_msid")))), None)
    mbid = uuid_of(mapped.get("recording_mbid")) or uuid_of(info.get("recording_mbid"))
    track = mbid or msid or id_by_name(artist, title)
    at = _time(record)
    if track is None or at is None:
        reason = "no time, or one before October 2002" if track else "neither an id nor artist and title"
        rows.reject("listens", source, reason, f"{artist or '?'} - {title or '?'}")
        return
    if msid in export.tracks:
        export.tracks[msid] = track
    length = number_of(info.get("duration_ms"))
    if length is None and (seconds := number_of(info.get("duration"))) is not None:
        length = 1000 * seconds
    length = length if length and 0 < length < 1e9 else None
    played = number_of(info.get("ms_played"))
    ratio = min(1.0, played / length) if length and played is not None and played >= 0 else None
    rows.add("listens", _user(record) or user, track, at, ratio, None)
    tags = info.get("tags")
    tags = [tag for value in tags if (tag := text_of(value))] if isinstance(tags, list) else []
    title, artist = text_of(mapped.get("recording_name")) or title, _credit(mapped) or artist
    album = text_of(heard.get("release_name"))
    code = isrc(text_of(info.get("isrc")) or "")
    rows.add("tracks", track, title, artist, album, tags or None, length and length / 1000, mbid, code)


def _metadata(record: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
    """What was sent of the track, what the player added to it, what ListenBrainz made of it; empty where missing."""
    heard = record.get("track_metadata")
    heard = heard if isinstance(heard, dict) else {}
    info, mapped = heard.get("additional_info"), heard.get("mbid_mapping")
    return heard, info if isinstance(info, dict) else {}, mapped if isinstance(mapped, dict) else {}


def _credit(mapped: Mapping[str, object]) -> str | None:
    """The artists with what joins their names: "A feat. B"."""
    artists = mapped.get("artists")
    names = [artist for artist in artists if isinstance(artist, dict)] if isinstance(artists, list) else []
    return text_of("".join(f"{one.get('artist_credit_name') or ''}{one.get('join_phrase') or ''}" for one in names))


def _time(record: Mapping[str, object]) -> int | None:
    """When, in microseconds since 1970. The dump says `timestamp`, exports say `listened_at`; feedback `created`."""
    value = next((value for key in ("listened_at", "timestamp", "created") if (value := record.get(key))), None)
    seconds = number_of(value)
    moment = round(seconds * 1_000_000) if seconds is not None else moment_of(value)
    return moment if moment is not None and EARLIEST <= moment / 1_000_000 < LATEST else None


def _keep_feedback(rows: Gathered, export: _Export, record: Mapping[str, object], user: str, source: str) -> None:
    msid, mbid = uuid_of(record.get("recording_msid")), uuid_of(record.get("recording_mbid"))
    score, at = SCORES.get(int(number_of(record.get("score")) or 0)), _time(record)
    if score is None or at is None or not (msid or mbid):
        reason = "feedback taken back" if score is None else "feedback without a time" if at is None else "no recording"
        rows.reject("listens", source, reason, mbid or msid or "")
        return
    export.feedback.append(_Feedback(_user(record) or user, msid, mbid, score, at))
    if msid:
        export.tracks.setdefault(msid, "")


DATA_SET = DataSet(
    name="listenbrainz",
    about="Listens that people share on ListenBrainz: all of them (the dump), or one listener's (an export)",
    terms="The dump is CC0, in the public domain. An export is its listener's own",
    source="https://listenbrainz.org/data/ (dump), https://listenbrainz.org/settings/export/ (your own)",
    files=(
        "the folder of an unpacked dump (listens/YEAR/MONTH.listens, also .gz), the dump's .tar.xz (a .tar.zst has to "
        "be unpacked), an export's .zip or its folder (listens/YEAR/MONTH.jsonl, feedback.jsonl, user.json), or the "
        "older NAME_lb-DATE.json"
    ),
    read=read,
)
