"""What two songs share that a listener would see: the artist, the album, genres and tags, words of the title."""

from data.dataset import Dataset, Song

SAME_ARTIST, SAME_ALBUM = "same artist", "same album"
MOST_WORDS = 3
SHORTEST = 4
"""Letters of a title's word below which it says nothing (the, of, und)."""


def what_is_shared(dataset: Dataset, one: int, other: int) -> list[str]:
    """In words, the closest first; at most the artist or album and `MOST_WORDS` words.

    >>> what_is_shared(dataset, 3, 5)  # doctest: +SKIP
    ['same artist', 'folk', 'calm']
    """
    first, second = dataset.song(one), dataset.song(other)
    found = []
    nobody = first.artist is None and second.artist is None
    if (nobody or _same(first.artist, second.artist)) and _same(first.album, second.album):
        found.append(SAME_ALBUM)
    elif _same(first.artist, second.artist):
        found.append(SAME_ARTIST)
    common = [label for label in first.labels if label in second.labels]
    if not common:
        theirs = _title_words(second)
        common = [f'"{word}" in both titles' for word in _title_words(first) if word in theirs]
    return found + common[:MOST_WORDS]


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.strip().casefold() == other.strip().casefold()


def _title_words(song: Song) -> list[str]:
    words = (song.title or "").casefold().split()
    return list(dict.fromkeys(word for word in words if len(word) >= SHORTEST))
