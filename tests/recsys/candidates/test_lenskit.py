"""EASE and item-kNN against LensKit, where it is installed: it is not among our requirements, for it wants pandas 2."""

import numpy as np
import pytest

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions
from tests.recsys.candidates.source_toys import make

pytest.importorskip("lenskit")
pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def ones(training) -> Dataset:
    """Playlists alone: LensKit knows whether, not how often."""
    return training.only(training.listens.head(0), training.playlist_tracks)


@pytest.fixture(scope="module")
def theirs(ones):
    from lenskit.data import from_interactions_df

    entries = interactions(ones).tocoo()
    assert (entries.data == 1).all()
    frame = pd.DataFrame({"user_id": entries.row, "item_id": entries.col})
    return from_interactions_df(frame, items=np.arange(len(ones.track_ids)))


@pytest.mark.parametrize("regularization", [1.0, 50.0])
def test_ease(ones, theirs, regularization, monkeypatch):
    from lenskit.knn import EASEScorer

    monkeypatch.setenv("LK_EASE_SOLVER", "scipy")
    model = EASEScorer(regularization=regularization)
    model.train(theirs)
    state = make("ease", ones, regularization=regularization).fit(ones).state()
    expected = model.weights[np.ix_(*2 * [model.items.numbers(state["songs"])])]
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(state["weights"], expected, rtol=1e-4, atol=1e-6)


def test_item_knn(ones, theirs):
    from lenskit.knn import ItemKNNScorer

    model = ItemKNNScorer(feedback="implicit")
    model.train(theirs)
    similarity = model.sim_matrix.to_scipy().toarray()
    source = make("item-knn", ones, kind="cosine", neighbours=60).fit(ones)
    found = source.songs.similarity.toarray()
    assert similarity.any()
    np.testing.assert_allclose(found, similarity, rtol=1e-4, atol=1e-5)
