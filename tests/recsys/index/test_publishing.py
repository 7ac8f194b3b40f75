"""What enters a published index, and what is refused when it is read."""

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
from recsys.index import BACKENDS
from recsys.index.publishing import ensure_index, read_index
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


def verify_folder(workspace: Workspace) -> Path:
    folder = version_of(workspace.root)
    verify(folder)
    return folder
