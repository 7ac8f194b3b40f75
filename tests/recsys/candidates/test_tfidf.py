"""TF-IDF: against plain loops over words, and titles."""

from collections import Counter
from collections.abc import Callable
from math import log, sqrt

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset
from recsys.candidates.content.tfidf import Tfidf
from recsys.queries import Query
from recsys.search.plain_text import words_of
from tests.recsys.candidates.source_toys import answer_of_history, block_of, many_queries, songs


def cosines(dataset: Dataset) -> np.ndarray:
    """(N, N): (1 + log tf) * (1 + log((1 + N) / (1 + df))), word by word."""
    fields = dataset.tracks.select("title", "artist", "album", "genres", "tags").rows()
    texts = [
        [
            word
            for value in row
            for text in ([value] if isinstance(value, str) else value or [])
            for word in words_of(text)
        ]
        for row in fields
    ]
    holding = Counter(word for text in texts for word in set(text))
    vectors = []
    for text in texts:
        counts = Counter(text)
        weights = {w: (1 + log(n)) * (1 + log((1 + len(texts)) / (1 + holding[w]))) for w, n in counts.items()}
        length = sqrt(sum(value**2 for value in weights.values()))
        vectors.append({word: value / length for word, value in weights.items()})
    return np.array([[sum(value * b.get(word, 0) for word, value in a.items()) for b in vectors] for a in vectors])


@pytest.mark.parametrize("half_life", [5.0, None])
def test_scores_are_the_mean_cosine_of_the_history(training: Dataset, half_life: float | None) -> None:
    near = cosines(training)
    np.fill_diagonal(near, 0)
    source = Tfidf(Tfidf.Settings(half_life=half_life, again=2.0)).fit(training)
    known = np.ones(len(near), np.bool_)
    for query in many_queries(training):
        if query.text:
            continue
        wanted = answer_of_history(query, near, known, half_life, 2.0, None)
        for track, score in zip(*source.candidates([query], 60)[0], strict=True):
            assert score == pytest.approx(wanted[track], rel=1e-4, abs=1e-5)


def test_a_title_finds_songs_by_their_words_alone_and_beside_songs(training: Dataset) -> None:
    source = Tfidf(Tfidf.Settings(text_weight=10.0)).fit(training)
    tracks, scores = source.candidates([Query(text="Cheerful SWING trío")], 3)[0]
    assert block_of(training, tracks) == ["swing"] * 3
    assert scores[0] == pytest.approx(1)
    given = songs(training, "metal-00", "metal-01")
    assert block_of(training, source.candidates([Query(history=given, text="swing")], 3)[0][0]) == ["swing"] * 3
    assert len(source.candidates([Query(text="nowhere in any text")], 5)[0][0]) == 0


def test_songs_without_a_word_take_no_part(publish: Callable[..., Dataset]) -> None:
    bare = publish(tracks=pl.DataFrame({"track_id": ["a", "b", "c"], "title": ["One", None, "one more"]}))
    source = Tfidf().fit(bare)
    assert source.candidates([Query(history=songs(bare, "b")), Query(history=songs(bare, "a"))], 3)[0][0].size == 0
    assert source.candidates([Query(history=songs(bare, "a"), exclude=songs(bare, "a"))], 3)[0][0].tolist() == [2]
    nothing = publish(tracks=pl.DataFrame({"track_id": ["a", "b"]}))
    answer = Tfidf().fit(nothing).candidates([Query(history=songs(nothing, "a"), text="one")], 2)
    assert len(answer.tracks) == 0
