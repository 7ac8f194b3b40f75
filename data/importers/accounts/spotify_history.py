"""Importer "spotify-history": what Spotify gives a person of their own listening.

The extended streaming history names tracks by URI and says why each play ended. The account data's short history, of
one year, knows artist and title alone; it is read only where there is no extended one, which holds the same plays.

How much of a track was played: Spotify tells the milliseconds but no lengths. A track's length is taken to be the
median of the first SAMPLES plays that ended by themselves ("trackdone"): the median, because a listener may have
jumped ahead or back in some. Where none did, a play under 30 seconds (Spotify's own bound for a stream) counts as a
share of a minute, so that it stays below one half, and a longer one as unknown. A play is a skip where Spotify says so,
and where it ended by the forward button within those 30 seconds: files of before 2022 leave `skipped` empty.

Addresses, user names, countries and devices are never kept, neither in tables nor in rejects. Plays of a private
session are left out, as Spotify itself leaves them out of what it recommends.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from statistics import median

from data.errors import UserError
from data.importers.accounts.spotify_account import (
    LIBRARY,
    PLAYLISTS,
    known_names,
    local_names,
    read_library,
    read_playlists,
)
from data.importers.data_set import DataSet
from data.importers.formats.archives import members
from data.importers.formats.json_records import Broken, elements, moment_of, number_of, text_of
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart, remark

LISTENER = "me"
"An account's data is one person's; who that is, is not kept."
EXTENDED = re.compile(r"(Streaming_History_Audio_.*|endsong(_\d+)?)\.json")
SHORT = re.compile(r"StreamingHistory(_music)?_?\d*\.json")
SAMPLES = 9
STREAM_MS = 30_000
FIRST_PLAY = 1_220_000_000_000_000
"August 2008: Spotify opened in October."
COLUMNS = {
    "tracks": ("track_id", "title", "artist", "album", "duration_s"),
    "listens": ("user_id", "track_id", "listened_at", "position", "played_ratio", "feedback"),
    "playlists": ("playlist_id", "title", "description", "modified_at"),
    "playlist_tracks": ("playlist_id", "position", "track_id", "added_at"),
}


def read(path: Path) -> Iterator[TablePart]:
    """Tracks, listens, playlists and rejects. Raises UserError where none of the files is there."""
    rows = Gathered(COLUMNS)
    extended, short, playlists, library = (_named(path, files) for files in (EXTENDED, SHORT, PLAYLISTS, LIBRARY))
    if not (extended or short or playlists or library):
        raise UserError(f"no data of Spotify in {path}.", f"--path takes {DATA_SET.files}.")
    if extended:
        yield from _read_extended(path, rows)
    elif short:
        yield from _read_short(path, rows)
    for name in short if extended else ():
        rows.reject("listens", name, "left out: the extended history holds the same plays")
    if playlists:
        yield from read_playlists(path, rows)
    if library:
        yield from read_library(path, rows)
    yield from rows.take()


def _named(path: Path, files: re.Pattern[str]) -> list[str]:
    return [member.name for member in members(path, lambda name: _fits(name, files))]


def _fits(name: str, files: re.Pattern[str]) -> bool:
    return files.fullmatch(PurePosixPath(name).name) is not None


def _plays(path: Path, files: re.Pattern[str]) -> Iterator[tuple[str, object]]:
    """Every record of these files and where it stands."""
    for member in members(path, lambda name: _fits(name, files)):
        with member.open() as stream:
            for number, (_, record) in enumerate(elements(stream)):
                yield f"{member.name}:{number}", record


def _read_extended(path: Path, rows: Gathered) -> Iterator[TablePart]:
    lengths, seen, again, example = _lengths(path), set[int](), 0, ""
    for source, play in _plays(path, EXTENDED):
        if isinstance(play, dict):
            key = hash((_moment(play), _track(play), number_of(play.get("ms_played"))))
            if key in seen:  # exports of two years hold the time between twice
                again, example = again + 1, example or source
                continue
            seen.add(key)
            _add_play(rows, play, lengths, source)
        else:
            _reject_broken(rows, play, source)
        if rows.full:
            yield from rows.take()
    if again:
        yield "remarks", remark("merged", "listens", "the same play in several files", again, example)


def _moment(play: Mapping[str, object]) -> int | None:
    """When it was played, in microseconds since 1970: of a play without a network not when Spotify heard of it."""
    told = moment_of(play.get("ts"))
    stamp = number_of(play.get("offline_timestamp")) if play.get("offline") is True else None
    if stamp is None or told is None:
        return told
    # Seconds in older files, milliseconds in newer ones.
    at = int(stamp * (1_000_000 if stamp < 1e11 else 1_000))
    return at if FIRST_PLAY <= at <= told else told


def _lengths(path: Path) -> dict[str, float]:
    """Milliseconds per track, from plays that ended by themselves; SAMPLES numbers a track are held at a time."""
    seen: dict[str, list[float]] = {}
    for _, play in _plays(path, EXTENDED):
        if isinstance(play, dict) and play.get("reason_end") == "trackdone":
            track, played = _track(play), number_of(play.get("ms_played"))
            if track and played and played > 0 and len(samples := seen.setdefault(track, [])) < SAMPLES:
                samples.append(played)
    return {track: float(median(samples)) for track, samples in seen.items()}


def _track(play: Mapping[str, object]) -> str | None:
    artist, title = _names(play)
    return text_of(play.get("spotify_track_uri")) or id_by_name(artist, title)


def _names(play: Mapping[str, object]) -> tuple[str | None, str | None]:
    artist, title = play.get("master_metadata_album_artist_name"), play.get("master_metadata_track_name")
    local = local_names(text_of(play.get("spotify_track_uri")))
    return text_of(artist) or local[0], text_of(title) or local[1]


def _add_play(rows: Gathered, play: Mapping[str, object], lengths: Mapping[str, float], source: str) -> None:
    track, at = _track(play), _moment(play)
    artist, title = _names(play)
    reason = _why_no_song(play) or ("no track named" if track is None else "no time" if at is None else None)
    if reason is not None:
        rows.reject("listens", source, reason, f"{artist or '?'} - {title}" if reason == "no time" else "")
        return
    played, length = number_of(play.get("ms_played")), lengths.get(track or "")
    at_once = play.get("reason_end") == "fwdbtn" and played is not None and played < STREAM_MS
    feedback = "skip" if play.get("skipped") is True or at_once else None
    rows.add("listens", LISTENER, track, at, None, _ratio(played, length), feedback)
    album = text_of(play.get("master_metadata_album_album_name"))
    rows.add("tracks", track, title, artist, album, length and length / 1000)


def _why_no_song(play: Mapping[str, object]) -> str | None:
    if play.get("incognito_mode") is True:
        return "a private session"
    kinds = {"a podcast": ("episode_name", "spotify_episode_uri"), "an audiobook": ("audiobook_title", "audiobook_uri")}
    return next((kind for kind, keys in kinds.items() if any(text_of(play.get(key)) for key in keys)), None)


def _ratio(played: float | None, length: float | None) -> float | None:
    """0..1; None where it cannot be told."""
    if played is None or played < 0:
        return None
    if length:
        return min(1.0, played / length)
    return played / (2 * STREAM_MS) if played < STREAM_MS else None


def _read_short(path: Path, rows: Gathered) -> Iterator[TablePart]:
    """Tracks are those of the playlists and the library where these know artist and title, else their names.

    Times are whole minutes, so that a position keeps the order of the file.
    """
    uris = known_names(path)
    for position, (source, play) in enumerate(_plays(path, SHORT)):
        if not isinstance(play, dict):
            _reject_broken(rows, play, source)
            continue
        artist, title = text_of(play.get("artistName")), text_of(play.get("trackName"))
        name, at = id_by_name(artist, title), moment_of(play.get("endTime"))
        if name is None or at is None:
            rows.reject("listens", source, "no time" if name else "no track named", f"{artist or '?'} - {title or '?'}")
            continue
        track = uris.get(name, name)
        rows.add("listens", LISTENER, track, at, position, _ratio(number_of(play.get("msPlayed")), None), None)
        rows.add("tracks", track, title, artist, None, None)
        if rows.full:
            yield from rows.take()


def _reject_broken(rows: Gathered, play: object, source: str) -> None:
    # Without content: it may hold an address.
    rows.reject("listens", source, play.reason if isinstance(play, Broken) else "not a JSON object")


DATA_SET = DataSet(
    name="spotify-history",
    about="One person's listening on Spotify: every play of the extended streaming history, playlists, liked songs",
    terms="The person's own data; Spotify gives it under the right of access to personal data",
    source="https://www.spotify.com/account/privacy/",
    files=(
        "the .zip that came, or its folder, of one person, with any of Streaming_History_Audio_*.json, endsong_*.json, "
        "StreamingHistory_music_*.json, StreamingHistory*.json, Playlist*.json and YourLibrary.json. Video and podcast "
        "files are not read"
    ),
    read=read,
)
