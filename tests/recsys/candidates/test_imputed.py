"""Imputed item-kNN: against plain loops, and what borrowing must do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from data.dataset import Dataset
from encoders.encoding.vector_files import Vectors
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.collaborative.item_knn import ItemKnn
from recsys.candidates.content.imputed import ALIKE, Imputed
from recsys.candidates.content.likeness import Likeness
from recsys.queries import Query
from tests.recsys.candidates.source_toys import assert_same, block_of, block_vectors, many_queries, songs


def smoothed(
    scores: NDArray[np.float32], dataset: Dataset, vectors: Vectors, settings: Imputed.Settings
) -> NDArray[np.float64]:
    """Song by song, neighbour by neighbour."""
    having = interactions(dataset).getnnz(axis=0)
    place = {int(track): row for row, track in enumerate(vectors.tracks)}
    found = scores.astype(np.float64)
    for track in range(len(having)):
        known = [other for other in place if having[other] > 0 and other != track]
        if track not in place or not known:
            continue
        cosines = {other: float(vectors.values[place[track]] @ vectors.values[place[other]]) for other in known}
        near = sorted(known, key=lambda other: (-cosines[other], other))[:ALIKE]
        weight = np.array([np.exp(cosines[other] / settings.temperature) for other in near])
        borrowed = (scores[:, near] * weight).sum(axis=1) / weight.sum()
        doubt = settings.doubt / (having[track] + settings.doubt) if having[track] + settings.doubt else 1.0
        found[:, track] = (1 - doubt) * scores[:, track] + settings.lift * doubt * borrowed
    return found


@pytest.mark.parametrize("settings", [{}, {"doubt": 0.0}, {"doubt": 100.0, "temperature": 0.05, "lift": 2.0}])
def test_scores_are_those_of_item_knn_weighed_against_those_of_songs_alike(training: Dataset, settings: dict) -> None:
    vectors = block_vectors(training)
    asked = Imputed.Settings(again=1e-9, rest=False, **settings)
    source = Imputed(asked, Likeness(vectors)).fit(training)
    plain = ItemKnn(ItemKnn.Settings(again=1e-9, rest=False)).fit(training)
    queries, tracks = many_queries(training), len(training.track_ids)
    own = np.zeros((len(queries), tracks), np.float32)
    for row, (found, scores) in enumerate(
        plain.candidates([Query(history=q.history, evidence=q.evidence) for q in queries], tracks)
    ):
        own[row, found] = scores
    wanted = smoothed(own, training, vectors, asked)
    for row, query in enumerate(queries):
        if query.evidence is not None:  # item-kNN's list leaves out what is below 0, and that is borrowed too
            continue
        for track, score in zip(*source.candidates([query], tracks)[0], strict=True):
            assert score == pytest.approx(wanted[row, track], rel=1e-3, abs=1e-6)


def test_without_vectors_it_is_item_knn(training: Dataset) -> None:
    queries = many_queries(training)
    assert_same(Imputed().fit(training).candidates(queries, 30), ItemKnn().fit(training).candidates(queries, 30))


def test_a_song_nobody_has_stands_among_the_songs_it_is_like(training: Dataset) -> None:
    source = Imputed(None, Likeness(block_vectors(training))).fit(training)
    unplayed = np.flatnonzero(source.having == 0)
    assert len(unplayed)
    given = songs(training, "swing-00", "swing-01", "swing-02")
    tracks, _ = source.candidates([Query(history=given, exclude=given)], 12)[0]
    new = [int(track) for track in tracks if track in unplayed]
    assert new
    assert set(block_of(training, new)) == {"swing"}
    assert {source.songs.known[track] for track in tracks} == {True, False}


def test_it_names_the_song_that_speaks_for_what_is_borrowed(training: Dataset) -> None:
    source = Imputed(None, Likeness(block_vectors(training))).fit(training)
    new = np.flatnonzero((source.having == 0) & (source.alike.tracks[:, 0] >= 0)).astype(np.int32)
    blocks = block_of(training, new.tolist())
    given = songs(training, "swing-00", "metal-00")
    said = source.votes(Query(history=given), new).best()
    for block, because in zip(blocks, said, strict=True):
        if block in ("swing", "metal"):
            assert because == songs(training, f"{block}-00")[0]


def test_it_says_whether_a_song_is_spoken_for_itself_or_what_it_is_like(training: Dataset) -> None:
    source = Imputed(Imputed.Settings(doubt=3.0), Likeness(block_vectors(training))).fit(training)
    own, borrowing = source._shares
    query = Query(history=songs(training, "swing-00", "metal-00"))
    tracks = np.arange(len(training.track_ids), dtype=np.int32)
    votes = source.votes(query, tracks)
    similarity = source.songs.similarity[votes.songs].toarray()
    assert votes.of_likes is not None
    assert votes.of_likes.any()
    assert (~votes.of_likes & (votes.values > 0)).any()
    lent = similarity @ borrowing.toarray().T
    itself = votes.songs[:, None] == tracks
    assert (votes.of_likes == (lent > similarity * own) & ~itself)[~np.isclose(lent, similarity * own)].all()
    assert votes.of_likes[(votes.values > 0) & (source.having == 0) & ~itself].all()


def test_neighbours_are_searched_once_for_the_same_question(training: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    likeness, searched = Likeness(block_vectors(training)), []
    search = likeness._search
    monkeypatch.setattr(likeness, "_search", lambda *asked: searched.append(1) or search(*asked))
    for half_life in (None, 10.0, 30.0):
        Imputed(Imputed.Settings(half_life_days=half_life), likeness).fit(training)
    assert len(searched) == 1


def test_well_known_songs_ask_nobody_and_large_catalogues_are_searched_in_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 8)).astype(np.float32)
    vectors = Vectors(np.arange(500, dtype=np.int32), values / np.linalg.norm(values, axis=1, keepdims=True))
    asking, known = np.arange(500) % 3 == 0, np.arange(500) % 2 == 0
    exact = Likeness(vectors).nearest(asking, known, 5)
    assert (exact.tracks[~asking] == -1).all()
    assert (exact.tracks[asking] % 2 == 0).all()
    assert (exact.tracks != np.arange(500)[:, None]).all()
    monkeypatch.setattr("recsys.candidates.content.likeness.MANY", 10)
    cells = Likeness(vectors).nearest(asking, known, 5)
    same = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(exact.tracks[asking], cells.tracks[asking], strict=True)])
    assert same > 0.6
