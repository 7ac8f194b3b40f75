"""Importer "youtube-music": what Google Takeout gives of a person's listening on YouTube Music.

watch-history.json or .html (of which only what was played in YouTube Music counts), the songs of the library, and
playlists. A track is its artist and title where the history or the library names them, else its video.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, urlsplit

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.archives import Member, members
from data.importers.formats.json_records import Broken, elements, moment_of, text_of
from data.importers.formats.moments import parse_moment
from data.importers.own_tables.csv_rows import decode
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart, remark

LISTENER = "me"
HISTORY = re.compile(r"(watch-history|wiedergabeverlauf|historique.*)\.(json|html)", re.IGNORECASE)
LIBRARY = re.compile(r"music.library.songs\.csv", re.IGNORECASE)
WATCHED = [
    re.compile(pattern)
    for pattern in (
        r"Watched (.*)",
        r"(?:Habe )?(.*) angesehen",
        r"Vous avez regardé (.*)",
        r"Has visto (.*)",
        r"Hai guardato (.*)",
        r"(?:Você )?[Aa]ssistiu (?:a |ao )?(.*)",
        r"(?:Heeft )?(.*) bekeken",
        r"Obejrzano:? (.*)",
        r"Har tittat på (.*)",
        r"(.*) を視聴しました",
    )
]
"What stands around a title, by language."
CELL = re.compile(r'<div class="outer-cell.*?(?=<div class="outer-cell|\Z)', re.DOTALL)
HEADER = re.compile(r'<p class="mdl-typography--title">(.*?)<br', re.DOTALL)
CONTENT = re.compile(r'<div class="content-cell[^"]*mdl-typography--body-1">(.*?)</div>', re.DOTALL)
LINK = re.compile(r'<a href="([^"]*)">(.*?)</a>', re.DOTALL)
COLUMNS = {
    "tracks": ("track_id", "title", "artist", "album"),
    "listens": ("user_id", "track_id", "listened_at"),
    "playlists": ("playlist_id", "title"),
    "playlist_tracks": ("playlist_id", "position", "track_id", "added_at"),
}


def read(path: Path) -> Iterator[TablePart]:
    """Tracks, listens, playlists and rejects. Raises UserError where there is none of the files."""
    rows, known, found = Gathered(COLUMNS), dict[str, str](), False
    for member in members(path, lambda name: LIBRARY.fullmatch(PurePosixPath(name).name) is not None):
        found = True
        _learn_library(member, rows, known)
    others = 0
    example = ""
    for member in members(path, lambda name: HISTORY.fullmatch(PurePosixPath(name).name) is not None):
        found = True
        for source, play in _plays(member):
            if isinstance(play, Broken):
                rows.reject("listens", source, play.reason)
            elif "YouTube Music" not in str(play.get("header")):
                others, example = others + 1, example or str(play.get("title"))
            else:
                _add_play(rows, play, source, known)
            if rows.full:
                yield from rows.take()
    for member in members(path, _is_playlist):
        found = True
        _add_playlist(member, rows, known)
        yield from rows.take()
    if not found:
        raise UserError(f"nothing of YouTube Music in {path}.", f"--path takes {DATA_SET.files}.")
    yield from rows.take()
    if others:
        yield "remarks", remark("passed over", "listens", "played on YouTube, not in YouTube Music", others, example)


def _is_playlist(name: str) -> bool:
    place = PurePosixPath(name)
    return place.suffix.lower() == ".csv" and place.parent.name.lower() in ("playlists", "playlisten")


def _plays(member: Member) -> Iterator[tuple[str, Mapping[str, object] | Broken]]:
    """Every entry of a history, in the shape of its JSON."""
    with member.open() as stream:
        if member.name.lower().endswith(".html"):
            text = stream.read().decode("utf-8", "replace")
            for number, cell in enumerate(CELL.findall(text), start=1):
                yield f"{member.name}:{number}", _of_cell(cell)
            return
        for number, (_, record) in enumerate(elements(stream)):
            source = f"{member.name}:{number}"
            yield source, record if isinstance(record, dict | Broken) else Broken("not a JSON object")


def _of_cell(cell: str) -> Mapping[str, object]:
    """An entry of the HTML page, which is what Takeout gives unless it is told otherwise."""
    header, content = HEADER.search(cell), CONTENT.search(cell)
    body = content[1] if content else ""
    links = [(unescape(address), unescape(text)) for address, text in LINK.findall(body)]
    lines = [unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in re.split(r"<br\s*/?>", body)]
    lines = [line.replace("\u202f", " ").replace("\xa0", " ") for line in lines if line]
    found: dict[str, object] = {"header": header[1] if header else "", "title": lines[0] if lines else ""}
    found["time"] = lines[-1] if lines else ""
    if links:
        found["titleUrl"] = links[0][0]
        found["subtitles"] = [{"name": text} for _, text in links[1:2]]
    return found


def _add_play(rows: Gathered, play: Mapping[str, object], source: str, known: dict[str, str]) -> None:
    title, artist = _names(play)
    video = _video(play.get("titleUrl"))
    track = known.get(video or "") or id_by_name(artist, title) or (f"youtube:{video}" if video else None)
    written = str(play.get("time"))
    at = moment_of(written)
    if at is None and (moment := parse_moment(written)) is not None:
        at = int(moment.timestamp() * 1_000_000)
    if track is None or at is None:
        reason = "no time" if track else "a song that is gone, without a name"
        rows.reject("listens", source, reason, f"{title or '?'}, {written}")
        return
    if video:
        known.setdefault(video, track)
    rows.add("listens", LISTENER, track, at)
    rows.add("tracks", track, title, artist, None)


def _names(play: Mapping[str, object]) -> tuple[str | None, str | None]:
    """Title and artist: the channel of a song is its artist's; a video names both in its title."""
    title = text_of(play.get("title"))
    match = next((found for pattern in WATCHED if title and (found := pattern.fullmatch(title))), None)
    title = text_of(match[1]) if match else title
    if title is None or re.match(r"https?://", title):
        return None, None
    subtitles = play.get("subtitles")
    first = subtitles[0] if isinstance(subtitles, list) and subtitles else None
    channel = text_of(first.get("name")) if isinstance(first, dict) else None
    if channel and channel.endswith(" - Topic"):
        return title, channel.removesuffix(" - Topic")
    artist, dash, song = title.partition(" - ")
    return (song, artist) if dash else (title, channel)


def _video(address: object) -> str | None:
    text = text_of(address)
    found = parse_qs(urlsplit(text).query).get("v") if text else None
    return found[0] if found else None


def _learn_library(member: Member, rows: Gathered, known: dict[str, str]) -> None:
    """Video ID, Song Title, Album Title, Artist Name 1, Artist Name 2, ..."""
    for row in _rows(member)[1:]:
        video, title, album, *artists = [text_of(value) for value in [*row, "", "", ""]]
        artist = ", ".join(name for name in artists if name) or None
        track = id_by_name(artist, title)
        if video and track:
            known[video] = track
            rows.add("tracks", track, title, artist, album)


def _add_playlist(member: Member, rows: Gathered, known: Mapping[str, str]) -> None:
    """Lines of a video's id and when it was added, after a header; older files have the playlist's own facts first."""
    place = PurePosixPath(member.name)
    name = re.sub(r"[-_ ]?(videos|playlist)$", "", place.stem, flags=re.IGNORECASE)
    rows.add("playlists", name, name)
    entries = [row for row in _rows(member) if row and re.fullmatch(r"[\w-]{11}", row[0].strip())]
    for position, row in enumerate(entries):
        video = row[0].strip()
        added = parse_moment(row[1]) if len(row) > 1 else None
        track = known.get(video, f"youtube:{video}")
        rows.add("playlist_tracks", name, position, track, added and int(added.timestamp() * 1_000_000))
        rows.add("tracks", track, None, None, None)


def _rows(member: Member) -> list[list[str]]:
    with member.open() as stream:
        text, _ = decode(stream.read())
    return list(csv.reader(io.StringIO(text)))


DATA_SET = DataSet(
    name="youtube-music",
    about="One person's listening on YouTube Music: plays, songs of the library, playlists",
    terms="The person's own data",
    source="https://takeout.google.com/ (YouTube and YouTube Music: history, music library songs, playlists)",
    files="the .zip or .tgz of Takeout or its folder, with watch-history.json (or .html), playlists/*.csv",
    read=read,
)
