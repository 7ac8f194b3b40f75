"""Playlists as lines of paths: M3U, PLS and WPL."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path, PurePosixPath

from data.importers.formats.file_names import spaced
from data.importers.playlists.model import NoPlaylistError

ENCODINGS = ("cp1252", "cp1251", "cp1250", "shift_jis", "gb18030", "euc-kr", "cp1253", "cp1254", "cp437", "mac-roman")
"Of lists that are not UTF-8, the most frequent first. Which one it is, the library tells: where its songs are found."


@dataclass(frozen=True)
class Playlist:
    """A playlist file as it stands: its title, and its entries in order."""

    title: str
    entries: list[str]
    infos: list[str]
    "Per entry what the #EXTINF line before it says, empty where there is none."


def parse(content: bytes, name: str) -> Playlist:
    """Entries of an M3U, PLS or WPL file, comments left out. name: of the file, the title where no line gives one.

    Raises NoPlaylistError for a web page, a list of stream segments, and a file of unreadable bytes.
    """
    return parse_text(decode(content), name)


def parse_text(text: str, name: str) -> Playlist:
    """The same of a text."""
    kind = PurePosixPath(name).suffix.lower()
    if kind == ".wpl":
        return _parse_wpl(text, name)
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text)]  # not splitlines(): names hold its other ends
    if re.match(r"\s*<(!doctype|html|\?xml|head|body)", text, re.IGNORECASE):
        raise NoPlaylistError("a web page, not a playlist")
    if any(line.upper().startswith(("#EXT-X-", "#EXT-X:")) for line in lines):
        raise NoPlaylistError("segments of a stream (HLS), not a playlist of songs")
    if "\0" in text:
        raise NoPlaylistError("not a text file")
    if kind == ".pls":
        return _parse_pls(lines, name)
    titles = [line.partition(":")[2].strip() for line in lines if line.upper().startswith("#PLAYLIST:")]
    entries: list[str] = []
    infos: list[str] = []
    info = ""
    for line in lines:
        if line.upper().startswith("#EXTINF:"):
            info = line.partition(":")[2].strip()
        elif line and not line.startswith("#"):
            entries.append(line)
            infos.append(info)
            info = ""
    return Playlist(next(filter(None, titles), None) or spaced(PurePosixPath(name).stem), entries, infos)


def _parse_pls(lines: list[str], name: str) -> Playlist:
    """PLS: numbered keys File1, Title1, Length1."""
    found: dict[int, dict[str, str]] = {}
    for line in lines:
        if match := re.match(r"(?i)(file|title|length)(\d+)\s*=(.*)", line):
            found.setdefault(int(match[2]), {})[match[1].lower()] = match[3].strip()
    songs = [song for _, song in sorted(found.items()) if song.get("file")]
    infos = [f"{song.get('length', '-1')},{song.get('title', '')}" for song in songs]
    return Playlist(spaced(PurePosixPath(name).stem), [song["file"] for song in songs], infos)


def _parse_wpl(text: str, name: str) -> Playlist:
    """WPL of Windows Media Player: XML with a media element for each song."""
    if not re.search(r"<(\?wpl|smil)\b", text, re.IGNORECASE):
        raise NoPlaylistError("not a WPL file")
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    sources = re.findall(r'<media\b[^>]*?\bsrc="([^"]*)"', text, re.IGNORECASE)
    shown = unescape(title[1]).strip() if title else ""
    return Playlist(shown or spaced(PurePosixPath(name).stem), [unescape(one) for one in sources], [""] * len(sources))


def read_file(path: Path, largest: int = 64 << 20) -> bytes:
    """A playlist's bytes. Raises NoPlaylistError where it is no regular file, cannot be read, or is too large."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would never end
            raise NoPlaylistError("not a regular file")
        if facts.st_size > largest:
            raise NoPlaylistError(f"larger than {largest >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise NoPlaylistError(f"cannot be read ({error.strerror})") from error


def decode(content: bytes) -> str:
    """The text of a playlist: UTF-8, UTF-16, else in the encoding of `decodings` that comes first."""
    return next(decodings(content))


def decodings(content: bytes) -> Iterator[str]:
    """What a playlist may say: one text where its bytes tell the encoding, else one for each that old players wrote.

    UTF-8; UTF-16 with a mark, or by its zeros.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield content.decode("utf-16", "replace")
        return
    for encoding, zeros in (("utf-16-le", content[1:400:2]), ("utf-16-be", content[:400:2])):
        if len(content) > 3 and zeros.count(0) > 0.6 * len(zeros):
            yield content.decode(encoding, "replace")
            return
    try:
        yield content.decode("utf-8-sig")
    except UnicodeDecodeError:
        for encoding in ENCODINGS:
            try:
                yield content.decode(encoding)
            except UnicodeDecodeError:
                continue
        yield content.decode("latin-1")
