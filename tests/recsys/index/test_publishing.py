"""What enters a published index, and what is refused when it is read."""

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset
from data.errors import DamagedError, UserError
from data.storage.manifest import verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import Vectors, write_vectors
from recsys.index import BACKENDS, FaissIndex, FaissSettings
from recsys.index import publishing as publishing_module
from recsys.index.card import IndexCard
from recsys.index.publishing import ensure_index, read_index
from recsys.index.recall import NearestSongs
from tests.recsys.faults import flip_a_bit, version_of


class TestWhatEntersAnIndex:
    @pytest.fixture
    def world(self, small_world) -> tuple[Workspace, Dataset]:
        workspace, dataset, _ = small_world
        return workspace, dataset

    def vectors(self, dataset: Dataset) -> Vectors:
        values = np.random.default_rng(0).normal(size=(len(dataset.track_ids), 8))
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        return Vectors(np.arange(len(values), dtype=np.int32), values.astype(np.float32))

    def publish(self, workspace: Workspace, dataset: Dataset, vectors: Vectors, checked: bool = True) -> None:
        with publishing(workspace.vectors("preference"), "vectors-preference", {"encoder": ""}) as draft:
            if checked:
                write_vectors(draft.folder, "item", vectors, dataset)
                return
            np.save(draft.folder / "item.npy", vectors.values)
            names = dataset.track_ids.to_names(vectors.tracks)
            pl.DataFrame({"track_id": names}).write_parquet(draft.folder / "item-ids.parquet")

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_vectors_that_are_not_finite_are_not_published(self, world, bad):
        vectors = self.vectors(world[1])
        vectors.values[7, 3] = bad
        with pytest.raises(ValueError, match="not finite, first for ambient-07"):
            self.publish(*world, vectors)
        assert not world[0].vectors("preference").exists()

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_nor_do_they_enter_an_index_if_published_all_the_same(self, world, backend):
        vectors = self.vectors(world[1])
        ensure_nothing = world[0].index
        vectors.values[7, 3] = np.nan
        self.publish(*world, vectors, checked=False)
        with pytest.raises(ValueError, match="NaN or infinity"):
            ensure_index(*world, backend)
        assert not list(ensure_nothing.glob("v-*"))
        with pytest.raises(UserError, match="no index"):
            read_index(*world)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_what_is_read_is_what_was_published(self, world, backend):
        vectors = self.vectors(world[1])
        self.publish(*world, vectors)
        ensure_index(*world, backend)
        index, manifest = read_index(*world)
        assert len(index) == len(vectors.tracks) == manifest.facts["songs"]
        found = index.search(vectors.values, 1)
        assert (found.tracks == vectors.tracks).mean() > 0.9
        ids = pl.read_parquet(verify_folder(world[0]) / "ids.parquet")["track_id"].to_list()
        assert ids == list(world[1].track_ids.names)

    def test_a_catalogue_without_vectors_has_an_empty_index(self, world):
        self.publish(*world, Vectors(np.zeros(0, np.int32), np.zeros((0, 8), np.float32)))
        ensure_index(*world, None)
        index, _ = read_index(*world)
        assert len(index) == 0

    def test_an_unknown_backend_is_refused_by_name(self, world):
        self.publish(*world, self.vectors(world[1]))
        with pytest.raises(UserError, match=r'no index backend "annoy"[\s\S]*faiss-flat'):
            ensure_index(*world, "annoy")

    def test_the_kind_follows_the_size_unless_one_was_asked_for(self, world, monkeypatch):
        self.publish(*world, self.vectors(world[1]))
        assert "faiss-flat (chosen for this size), exact" in ensure_index(*world)
        monkeypatch.setattr(publishing_module, "kind_for", lambda songs, dimension, memory: "faiss-ivf")
        assert "faiss-flat" in ensure_index(*world), "what was published fits still"
        other = self.vectors(world[1])
        other.values[:] = np.roll(other.values, 1, axis=0)
        self.publish(*world, other)
        assert "faiss-ivf (chosen for this size), recall@100 1.000" in ensure_index(*world)
        assert "faiss-hnsw (as asked for), recall@100" in ensure_index(*world, "faiss-hnsw")
        self.publish(*world, self.vectors(world[1]))
        assert "faiss-hnsw (as asked for)" in ensure_index(*world)
        assert "faiss-ivf (chosen for this size)" in ensure_index(*world, "auto")

    def test_recall_stands_in_manifest_and_card(self, world):
        self.publish(*world, self.vectors(world[1]))
        ensure_index(*world, "faiss-ivf")
        manifest = read_index(*world)[1]
        card = IndexCard.read(verify_folder(world[0]))
        assert manifest.settings == {"asked": "faiss-ivf", "min_recall": 0.95}
        assert 0.95 <= manifest.facts["recall@100"] == card.recall <= 1

    def test_what_finds_too_little_is_not_published_and_what_was_stays(self, world, monkeypatch):
        poor = partial(FaissIndex, kind="hnsw", settings=FaissSettings(hnsw_m=2, ef_construction=1, ef_search=1))
        monkeypatch.setitem(BACKENDS, "faiss-hnsw", poor)
        monkeypatch.setattr(publishing_module, "NearestSongs", Among)
        self.publish(*world, self.vectors(world[1]))
        ensure_index(*world, "exact")
        before = verify_folder(world[0])
        with pytest.raises(UserError, match=r"faiss-hnsw index finds 0\.\d+ of the 100.*--min-recall[\s\S]*exact"):
            ensure_index(*world, "faiss-hnsw", 1.0)
        assert verify_folder(world[0]) == before
        ensure_index(*world, "faiss-hnsw", 0.3)
        assert read_index(*world)[1].facts["recall@100"] >= 0.3
        assert "faiss-hnsw" in ensure_index(*world), "a lower bound that was asked for stays"

    def test_where_nobody_named_a_kind_one_that_finds_enough_is_taken(self, world, monkeypatch):
        monkeypatch.setattr(publishing_module, "kind_for", lambda songs, dimension, memory: "faiss-ivfpq")
        monkeypatch.setattr(NearestSongs, "recall", lambda self, index: 0.9 if index.kind == "ivfpq" else 0.97)
        self.publish(*world, self.vectors(world[1]))
        assert "faiss-ivf (chosen for this size), recall@100 0.970" in ensure_index(*world)

    def test_an_index_of_other_vectors_is_refused(self, world):
        self.publish(*world, self.vectors(world[1]))
        ensure_index(*world, None)
        other = self.vectors(world[1])
        other.values[:] = np.roll(other.values, 1, axis=0)
        self.publish(*world, other)
        with pytest.raises(UserError, match="other vectors"):
            read_index(*world)

    def test_a_flipped_bit_is_found_in_process_too(self, world):
        self.publish(*world, self.vectors(world[1]))
        ensure_index(*world, "faiss-flat")
        for path in verify_folder(world[0]).iterdir():
            if path.name == "manifest.json":
                continue
            good = path.read_bytes()
            flip_a_bit(path)
            with pytest.raises(DamagedError, match=path.name):
                read_index(*world)
            path.write_bytes(good)
        read_index(*world)


class Among(NearestSongs):
    """Asks for few songs, which a poor graph misses; for all of them it would look at all."""

    @classmethod
    def of(cls, tracks, vectors):
        return super().of(tracks, vectors, k=3, queries=len(tracks))


def verify_folder(workspace: Workspace) -> Path:
    folder = version_of(workspace.root)
    verify(folder)
    return folder
