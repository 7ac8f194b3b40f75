"""The index of names and texts: SQLite's full-text search (FTS5), kept in the workspace and read whole into memory.

SQLite comes with Python, ranks by BM25 and needs no server; DuckDB's full-text search is an extension that has to be
fetched from a network first. In memory, because what is open answers from one version, in forks and threads too.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import polars as pl
from rapidfuzz import fuzz, process

from data.reporting import meter
from recsys.search.plain_text import plain, words_of

FIELDS = ("title", "artist", "album", "other")
NAMES = "{title artist album}"
SCHEMA = """
CREATE TABLE names (title TEXT, artist TEXT, album TEXT);
CREATE VIRTUAL TABLE texts USING fts5 (title, artist, album, other, tokenize='unicode61');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (texts, 'row');
"""
INDEXES = "".join(f"CREATE INDEX by_{name} ON names ({name}, artist);" for name in ("title", "artist", "album"))
BM25 = "bm25(texts, 8.0, 5.0, 3.0, 1.0)"
"A word in the title says more than in the artist, album or anything else."
ALIKE = 80
"""Of 100, what rapidfuzz must give two words to be one with a slip of the pen."""
SHORTEST = 4
"""Letters below which every word is like some other."""
SHOWN = 10_000
"Songs after which progress moves on."
BETWEEN = ("by", "von", "de", "di", "par")
"""What may stand between a title and its artist."""


class Match(NamedTuple):
    """A song whose names have the words. whole: they are all of the title, artist or album. as_read: the words looked
    for, where a slip of the pen was mended."""

    track: int
    field: str
    whole: bool
    as_read: str = ""


class TextIndex:
    """Which songs have which words."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database, self._lock = database, threading.Lock()

    @classmethod
    def build(cls, tracks: pl.DataFrame) -> Self:
        """Of a dataset's tracks, in their order."""
        database = _memory()
        database.executescript(SCHEMA)
        rows = tracks.select("title", "artist", "album", "genres", "tags", "language", "description").iter_rows()
        with meter("texts", tracks.height) as progress:
            for number, (title, artist, album, *others) in enumerate(rows):
                names = (plain(title), plain(artist), plain(album))
                database.execute(
                    "INSERT INTO names (rowid, title, artist, album) VALUES (?, ?, ?, ?)", (number, *names)
                )
                rest = " ".join(plain(" ".join(other) if isinstance(other, list) else other) for other in others)
                database.execute(
                    "INSERT INTO texts (rowid, title, artist, album, other) VALUES (?, ?, ?, ?, ?)",
                    (number, *names, rest),
                )
                if number % SHOWN == 0:
                    progress.to(number)
        database.executescript(INDEXES + "INSERT INTO texts (texts) VALUES ('optimize');")
        database.commit()
        return cls(database)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` gave."""
        database = _memory()
        database.deserialize(content)
        return cls(database)

    def to_bytes(self) -> bytes:
        """The whole index, as a file of SQLite."""
        return self._database.serialize()

    def names(self, text: str, most: int, knows: Callable[[str], bool] = lambda word: False) -> list[Match]:
        """Songs whose title, artist or album has all the words, best first.

        First those that are called so as a whole (`Title`, `Title by Artist`, `Artist Title`), then by artist, by
        album, then those that have the words among others. Slips of the pen are mended where nothing else is found;
        knows: words that are right though no song has them.
        """
        words = words_of(text)
        if not words:
            return []
        found = self._named(words, most)
        if not found and (mended := self._mended(words, knows)) != words:
            found = [match._replace(as_read=" ".join(mended)) for match in self._named(mended, most)]
        return found[:most]

    def texts(self, text: str, most: int) -> list[tuple[int, float]]:
        """Songs that have any of the words in any of their texts, by BM25, best first, and their scores."""
        words = words_of(text)
        if not words:
            return []
        rows = self._ask(
            f"SELECT rowid, -{BM25} FROM texts WHERE texts MATCH ? ORDER BY {BM25}, rowid LIMIT ?",
            (" OR ".join(map(_quoted, words)), most),
        )
        return [(int(row), float(score)) for row, score in rows]

    def unknown(self, text: str) -> list[str]:
        """The words that no song has in any of its texts; what is no word (🎸) as it is written."""
        missing = []
        for part in text.split():
            words = words_of(part)
            if not words or any(not self._is_known(word) for word in words):
                missing.append(part)
        return missing

    def _named(self, words: Sequence[str], most: int) -> list[Match]:
        found: dict[int, Match] = {}
        for match in self._whole(words, most):
            found.setdefault(match.track, match)
        rows = self._ask(
            f"SELECT rowid, title, artist, album FROM texts WHERE texts MATCH ? ORDER BY {BM25}, rowid LIMIT ?",
            (f"{NAMES} : ({' AND '.join(map(_quoted, words))})", most),
        )
        for row, *names in rows:
            field = next((f for f, name in zip(FIELDS, names, strict=False) if set(words) & set(name.split())), "title")
            found.setdefault(int(row), Match(int(row), field, False))
        return list(found.values())

    def _whole(self, words: Sequence[str], most: int) -> Iterator[Match]:
        """Songs that are called by all the words together."""
        yield from self._where("title = ?", (" ".join(words),), "title", most)
        for at in range(1, len(words)):
            first, second = " ".join(words[:at]), " ".join(words[at:])
            yield from self._where("title = ? AND artist = ?", (first, second), "title", most)
            yield from self._where("title = ? AND artist = ?", (second, first), "title", most)
            if words[at] in BETWEEN and at + 1 < len(words):
                artist = " ".join(words[at + 1 :])
                yield from self._where("title = ? AND artist = ?", (first, artist), "title", most)
        for field in ("artist", "album"):
            yield from self._where(f"{field} = ?", (" ".join(words),), field, most)

    def _where(self, condition: str, values: tuple[str, ...], field: str, most: int) -> Iterator[Match]:
        for (row,) in self._ask(f"SELECT rowid FROM names WHERE {condition} ORDER BY rowid LIMIT ?", (*values, most)):
            yield Match(int(row), field, True)

    def _mended(self, words: Sequence[str], knows: Callable[[str], bool]) -> list[str]:
        """The words, those that no song has replaced by the most similar that one has."""
        return [word if self._is_known(word) or knows(word) else self._similar(word) or word for word in words]

    def _similar(self, word: str) -> str | None:
        if len(word) < SHORTEST:
            return None
        length = (len(word) - 2, len(word) + 2)
        terms = [t for (t,) in self._ask("SELECT term FROM vocabulary WHERE length(term) BETWEEN ? AND ?", length)]
        best = process.extractOne(word, terms, scorer=fuzz.ratio, score_cutoff=ALIKE)
        return None if best is None else str(best[0])

    def _is_known(self, word: str) -> bool:
        return bool(self._ask("SELECT 1 FROM texts WHERE texts MATCH ? LIMIT 1", (_quoted(word),)))

    def _ask(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()


def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def _quoted(word: str) -> str:
    return f'"{word}"'
