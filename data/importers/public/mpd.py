"""Importer "mpd": Spotify's Million Playlist Dataset, and the incomplete playlists of the RecSys Challenge 2018."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import polars as pl

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.archives import Member, members
from data.tables import LONGEST_CONTENT, REJECT_SCHEMA, SCHEMAS, TablePart

SLICES = "mpd.slice.*.json"
CHALLENGE = "challenge_set.json"
CHALLENGE_PREFIX = "challenge-"
"Before the ids of the challenge's playlists, so that they can be told from the million."
CHUNK = 4 * 2**20
LONGEST_HEADER = 2 * CHUNK
PART_ENTRIES = 100_000
NOTHING_BUT_COMMAS = re.compile(r"[\s,]*")
PLAYLISTS = re.compile(r'"playlists"\s*:\s*\[')

Reasons = list[tuple[str, str, str]]
"Table, reason and content of rejects."


def read(path: Path) -> Iterator[TablePart]:
    """The slices in the order of their numbers, then the challenge set, wherever they lie in a folder or an archive."""
    found = False
    for pattern, prefix in ((SLICES, ""), (CHALLENGE, CHALLENGE_PREFIX)):
        for member in members(path, lambda name, like=pattern: fnmatch(PurePosixPath(name).name, like)):  # type: ignore[misc]
            found = True
            yield from _read_file(member, prefix)
    if not found:
        raise UserError(f"neither {SLICES} nor {CHALLENGE} in {path}.", f"--path is {DATA_SET.files}.")


@dataclass
class _Rows:
    """Rows read from a file and not yet yielded as a part."""

    playlists: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[tuple[object, ...]] = field(default_factory=list)
    tracks: dict[str, tuple[object, ...]] = field(default_factory=dict)
    rejects: Reasons = field(default_factory=list)

    def add(self, playlist: object, prefix: str) -> None:
        pid = _whole(playlist.get("pid")) if isinstance(playlist, dict) else None
        songs = playlist.get("tracks", []) if isinstance(playlist, dict) else None
        if not isinstance(playlist, dict) or pid is None or not isinstance(songs, list):
            self.rejects.append(("playlists", "no playlist with a pid and a list of tracks", json.dumps(playlist)))
            return
        name = f"{prefix}{pid}"
        modified = _whole(playlist.get("modified_at"))
        self.playlists.append((name, _text(playlist.get("name")), _text(playlist.get("description")), modified))
        for song in songs:
            if not isinstance(song, dict):
                self.rejects.append(("playlist_tracks", "not a JSON object", json.dumps(song)))
                continue
            track = _text(song.get("track_uri"))
            self.entries.append((name, _whole(song.get("pos")), track))
            if track is not None and track not in self.tracks:
                words = [_text(song.get(key)) for key in ("track_name", "artist_name", "album_name")]
                self.tracks[track] = (track, *words, _whole(song.get("duration_ms")))

    def clear(self) -> None:
        """Forget all rows; `rejects` stays the list that the file's reader appends to."""
        self.playlists.clear()
        self.entries.clear()
        self.tracks.clear()
        self.rejects.clear()

    def parts(self, source: str) -> Iterator[TablePart]:
        schema = {**_text_columns("playlist_id", "title", "description"), "modified_at": pl.Int64}
        playlists = pl.DataFrame(self.playlists, schema, orient="row")
        modified = pl.from_epoch("modified_at", "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
        yield "playlists", playlists.with_columns(modified)
        schema = {**_text_columns("track_id", "title", "artist", "album"), "ms": pl.Int64}
        tracks = pl.DataFrame(list(self.tracks.values()), schema, orient="row")
        yield "tracks", tracks.with_columns(duration_s=pl.col("ms") / 1000)
        entries = {name: SCHEMAS["playlist_tracks"][name] for name in ("playlist_id", "position", "track_id")}
        yield "playlist_tracks", pl.DataFrame(self.entries, entries, orient="row")
        rows = [(table, source, reason, content[:LONGEST_CONTENT]) for table, reason, content in self.rejects]
        yield "rejects", pl.DataFrame(rows, REJECT_SCHEMA, orient="row")


def _read_file(member: Member, prefix: str) -> Iterator[TablePart]:
    rows, name = _Rows(), PurePosixPath(member.name).name
    for playlist in _playlists(member, rows.rejects):
        rows.add(playlist, prefix)
        if len(rows.entries) >= PART_ENTRIES:
            yield from rows.parts(name)
            rows.clear()
    yield from rows.parts(name)


def _playlists(member: Member, rejects: Reasons) -> Iterator[object]:
    """The file's playlists one at a time: a slice has 33 MB, the challenge set 109, several times that as objects."""
    decoder = json.JSONDecoder()
    with member.open() as given:
        stream = codecs.getreader("utf-8-sig")(given, "replace")
        text = ""
        while (start := PLAYLISTS.search(text)) is None:
            more = stream.read(CHUNK)
            text += more
            if not more or len(text) > LONGEST_HEADER:
                rejects.append(("playlists", 'no list "playlists" at the head of the file', text))
                return
        at = start.end()
        while True:
            at = _behind(NOTHING_BUT_COMMAS, text, at)
            if text.startswith("]", at):
                return
            try:
                playlist, at = decoder.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                more = stream.read(CHUNK)
                if not more:
                    rejects.append(("playlists", "the file ends here, or is no JSON from here on", text[at:]))
                    return
                text, at = text[at:] + more, 0
                continue
            yield playlist


def _behind(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _text_columns(*names: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    return dict.fromkeys(names, pl.String)


def _text(value: object) -> str | None:
    """A string with something in it. JSON may hold half a surrogate pair, which no table can."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def _whole(value: object) -> int | None:
    """A whole number as the data set has them: ids, positions, seconds since 1970, milliseconds of a song."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


DATA_SET = DataSet(
    name="mpd",
    about="Million Playlist Dataset: 1,000,000 playlists of Spotify users, 2.3 million tracks, 2010-2017",
    terms="research and non-commercial use only; no part of it may be passed on",
    source="Spotify Research, on request (https://www.aicrowd.com/challenges/spotify-million-playlist-dataset-challenge)",
    files=f"the folder, or the .zip or .tar.gz, with {SLICES} (1,000 files), {CHALLENGE}, or both",
    read=read,
)
