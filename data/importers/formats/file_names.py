"""Title, artist and album of an untagged track, guessed from its path."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

SURE_NUMBER = re.compile(r"^(?:\d-)?(?:0\d{1,2}\b|\d{1,3}(?=\s*[-.)\]]|_))(?:\s*[-.)\]]+\s*|[\s_]+|$)")
ANY_NUMBER = re.compile(r"^\d{1,3}[\s_]+(?=\S)")
GENERIC = re.compile(
    r"(music|songs?|audio|sounds?|tracks?|mp3s?|ogg|opus|flac|wav|m4a|(cd|dis[ck])[ _-]*\d+)", re.IGNORECASE
)
NO_ARTIST = re.compile(r"(various( artists)?|v\.?a\.?|compilations?|soundtracks?|unknown( artist)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Guess:
    """Title, and artist and album where the name gives them away."""

    title: str
    artist: str | None = None
    album: str | None = None


def guess(path: PurePosixPath, in_numbered_folder: bool = False) -> Guess:
    """Read "Artist/Album/01 Title.flac", "01 - Artist - Title.mp3" and what lies between.

    path: relative to the library. in_numbered_folder: its neighbours start with track numbers too, so that the 10 of
    "10 Title" is one, while "99 Luftballons" alone keeps its number. A folder above the album names the artist only
    where the file is numbered, as music libraries do it; elsewhere it may be anything.
    """
    stem, numbered = _without_number(path.stem, in_numbered_folder)
    parts = [spaced(part) for part in re.split(r"\s+-\s+|_-_", stem)]
    parts = [part for part in parts if part and not part.isdigit()]
    title = parts[-1] if parts else spaced(path.stem)
    artist = parts[0] if len(parts) > 1 else None
    folders = [spaced(folder) for folder in path.parent.parts]
    named = [folder for folder in folders if not GENERIC.fullmatch(folder)]
    album = named[-1] if named else None
    if artist is None and numbered and len(named) > 1 and not NO_ARTIST.fullmatch(named[-2]):
        artist = named[-2]
    return Guess(title, artist, album)


def starts_with_number(name: str) -> bool:
    """Could the name begin with a track number?"""
    return bool(SURE_NUMBER.match(name) or ANY_NUMBER.match(name))


def spaced(name: str) -> str:
    """Underscores and runs of blanks become one space."""
    return " ".join(name.replace("_", " ").split())


def _without_number(stem: str, in_numbered_folder: bool) -> tuple[str, bool]:
    found = SURE_NUMBER.match(stem) or (ANY_NUMBER.match(stem) if in_numbered_folder else None)
    rest = stem[found.end() :].strip() if found else ""
    return (rest, True) if rest else (stem, False)
