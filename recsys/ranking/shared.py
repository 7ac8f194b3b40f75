"""What two songs share that a listener would see: the artist, the album, genres and tags, words of the title."""

from data.dataset import Dataset

MOST_WORDS = 3
SHORTEST = 4
"""Letters of a title's word below which it says nothing (the, of, und)."""


def what_is_shared(dataset: Dataset, one: int, other: int) -> list[str]:
    """In words, the closest first; at most the artist or album and `MOST_WORDS` words.

    >>> what_is_shared(dataset, 3, 5)  # doctest: +SKIP
    ['same artist', 'folk', 'calm']
    """
    found = []
    if _same(dataset, "artist", one, other):
        found.append("same album" if _same(dataset, "album", one, other) else "same artist")
    ours = _labels(dataset, one)
    theirs = _labels(dataset, other) if ours else []
    common = [label for label in ours if label in theirs]
    if not common:
        theirs = _title_words(dataset, other)
        common = [f'"{word}" in both titles' for word in _title_words(dataset, one) if word in theirs]
    return found + common[:MOST_WORDS]


def _same(dataset: Dataset, field: str, one: int, other: int) -> bool:
    values = [dataset.tracks[field][row] for row in (one, other)]
    return None not in values and values[0].strip().casefold() == values[1].strip().casefold()


def _labels(dataset: Dataset, row: int) -> list[str]:
    lists = [dataset.tracks[field][row] for field in ("genres", "tags")]
    labels = [label for listed in lists if listed is not None for label in listed.to_list()]
    return list(dict.fromkeys(label.casefold() for label in labels))


def _title_words(dataset: Dataset, row: int) -> list[str]:
    words = (dataset.tracks["title"][row] or "").casefold().split()
    return list(dict.fromkeys(word for word in words if len(word) >= SHORTEST))
