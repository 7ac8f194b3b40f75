"""FAISS search: flat (exact), HNSW graph, inverted lists, and compressed ones that are re-ranked by stored vectors.

Searching in a forked process hangs inside FAISS: start workers with spawn.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt

from recsys.index import overfetch
from recsys.index.card import IndexCard, damaged
from recsys.index.input_checks import known_ids, new_ids, unit_vectors
from recsys.ranked import Ranked

Kind = Literal["flat", "hnsw", "ivf", "ivfpq"]

# FAISS ships type stubs that lack some of its own names.
_faiss: Any = faiss

_INDEX = "index.faiss"
_TRACKS = "tracks.npy"
_STORED = "vectors.npy"
_REMOVED = -1
# FAISS on a GPU refuses to return more; its compressed lists take few code lengths only, so they stay on the CPU.
_GPU_COUNT = 2048
_GPU_KINDS = ("flat", "ivf")
_MOST_EF = 1024
_MOST_RERANK = 16
# What FAISS's k-means wants to see per centre before it calls the result poor.
_POINTS_PER_LIST = 39


class FaissSettings(BaseModel):
    hnsw_m: int = Field(default=32, ge=2)
    "HNSW: links per song and level; memory grows with it."
    ef_construction: PositiveInt = 200
    "HNSW: songs looked at to place a new one; more is slower to build and finds better."
    ef_search: PositiveInt = 128
    "HNSW: songs looked at per query, at least; more is slower and finds better."
    lists: PositiveInt | None = None
    "Inverted lists: how many; 4 * sqrt(songs) if not given, and fewer where the songs are too few to train so many."
    probes: PositiveInt | None = None
    """Inverted lists: how many are looked through per query, at least; the square root of all, and no fewer than 16, if
    not given. Before an index is published its recall is measured, and where that is too low more are."""
    pq_parts: PositiveInt | None = None
    "Compressed vectors: parts per vector, rounded down to a divisor of the dimension; one for two numbers by default."
    pq_bits: int = Field(default=8, ge=4, le=12)
    "Compressed vectors: bits per part; with half as many parts as numbers, 8 bits are an eighth of the memory."
    rerank: PositiveInt = 4
    """Compressed vectors: so many times the songs wanted are scored again by their stored vectors, float16 on disk.
    Recall@100 on 100,000 simulated clustered songs was 0.975 with 16 parts of 128 numbers at 2, 0.999 at 4; with 64
    parts it was 0.999 at either."""

    def probes_of(self, lists: int) -> int:
        """Inverted lists looked through per query, of so many."""
        return self.probes or max(16, math.isqrt(lists))

    def harder(self, kind: Kind, lists: int) -> Self:
        """The same, looking twice as far when asked; unchanged where that is as far as a short cut should look.

        HNSW stops at 1,024 songs; lists at half of them, beyond which exact search is as fast, and re-ranking at 16
        times the songs wanted. lists: how many there are.
        """
        changes: dict[str, int] = {}
        if kind == "hnsw" and self.ef_search < _MOST_EF:
            changes["ef_search"] = min(2 * self.ef_search, _MOST_EF)
        if kind in ("ivf", "ivfpq") and self.probes_of(lists) < lists // 2:
            changes["probes"] = min(2 * self.probes_of(lists), lists // 2)
        if kind == "ivfpq" and self.rerank < _MOST_RERANK:
            changes["rerank"] = min(2 * self.rerank, _MOST_RERANK)
        return self.model_copy(update=changes)


class FaissIndex:
    """A VectorIndex on FAISS: inner product of normalised vectors.

    flat gives exact answers. hnsw, ivf and ivfpq may miss neighbours, and ivfpq's scores are approximate. ivf and ivfpq
    learn their lists from the first vectors added: let that be the bulk, or a fair sample. `gpu="auto"` searches flat
    and ivf on the first GPU where FAISS sees one.
    """

    # Each vector lies in a slot, numbered in the order of arrival and never used twice; FAISS knows slots, not songs.
    # So HNSW, which cannot forget, may hold a song's old vector beside its new one. IndexIDMap2 carries the slots of
    # flat; around inverted lists it would go wrong: it expects the numbers inside to move up after a removal, which
    # they do not, and answers with other songs.

    def __init__(
        self,
        dimension: int,
        kind: Kind = "flat",
        settings: FaissSettings | None = None,
        gpu: Literal["auto", "off"] = "auto",
    ) -> None:
        self.dimension = dimension
        self.kind = kind
        self.settings = settings or FaissSettings()
        self.gpu = gpu
        self._track_of = np.zeros(0, np.int32)
        self._stored = np.zeros((0, dimension), np.float16)
        self._index: Any = None
        self._on_gpu: Any = None

    def __len__(self) -> int:
        return int(np.count_nonzero(self._track_of != _REMOVED))

    def add(self, ids: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        unit = unit_vectors(vectors, self.dimension)
        fresh = new_ids(ids, self._track_of, len(unit))
        if not len(fresh):
            return
        if self._index is None:
            self._index = self._make(unit)
        if self.kind == "hnsw":
            self._index.add(unit)
        else:
            self._index.add_with_ids(unit, np.arange(len(fresh), dtype=np.int64) + len(self._track_of))
        if self.kind == "ivfpq":
            self._stored = np.concatenate([self._stored, unit.astype(np.float16)])
        self._track_of = np.concatenate([self._track_of, fresh])
        self._on_gpu = None

    def remove(self, ids: NDArray[np.int32]) -> None:
        slots = np.flatnonzero(np.isin(self._track_of, known_ids(ids, self._track_of)))
        if not len(slots):
            return
        self._track_of[slots] = _REMOVED
        if self.kind != "hnsw":
            self._index.remove_ids(slots)
        elif 2 * len(self) < len(self._track_of):
            self._rebuild_graph()
        self._on_gpu = None

    def harder(self) -> bool:
        """Look further from now on, as `FaissSettings.harder`; False where the bound is reached."""
        lists = 0 if self._index is None or self.kind not in ("ivf", "ivfpq") else self._index.nlist
        settings = self.settings.harder(self.kind, lists)
        changed = settings != self.settings
        self.settings = settings
        return changed

    def search(
        self, vectors: NDArray[np.float32], k: int, exclude: Sequence[NDArray[np.int32]] | None = None
    ) -> Ranked:
        return overfetch.search(
            vectors,
            k,
            exclude,
            dimension=self.dimension,
            size=0 if self._index is None else self._index.ntotal,
            track_of=self._track_of,
            nearest=self._nearest,
            vectors_of=self._index.reconstruct_batch if self.kind == "flat" and self._index is not None else None,
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self._index is None:
            (folder / _INDEX).unlink(missing_ok=True)
        else:
            faiss.write_index(self._index, str(folder / _INDEX))
        if self.kind == "ivfpq":
            np.save(folder / _STORED, self._stored, allow_pickle=False)
        np.save(folder / _TRACKS, self._track_of, allow_pickle=False)
        IndexCard(
            backend=f"faiss-{self.kind}",
            dimension=self.dimension,
            count=len(self),
            settings={**self.settings.model_dump(mode="json"), "gpu": self.gpu},
        ).write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = IndexCard.read(folder)
        gpu = card.settings.pop("gpu", "auto")
        kind: Any = card.backend.removeprefix("faiss-")
        index = cls(card.dimension, kind, FaissSettings.model_validate(card.settings), gpu)
        try:
            index._track_of = np.load(folder / _TRACKS, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise damaged(folder / _TRACKS, "it cannot be read") from error
        if index._track_of.dtype != np.int32 or len(index) != card.count:
            raise damaged(folder / _TRACKS, f"not the {card.count} songs that index.json names")
        if kind == "ivfpq":
            index._stored = _mapped(folder / _STORED, (len(index._track_of), card.dimension))
        if len(index._track_of):
            index._index = _read(folder / _INDEX)
            stored = len(index._track_of) if kind == "hnsw" else card.count
            if index._index.d != card.dimension or index._index.ntotal != stored:
                raise damaged(folder / _INDEX, f"not {stored} vectors of {card.dimension} numbers as index.json says")
            if kind in ("ivf", "ivfpq") and index.settings.probes is None:  # stored before they were written down
                index.settings = index.settings.model_copy(update={"probes": max(8, index._index.nlist // 8)})
        return index

    def _make(self, first: NDArray[np.float32]) -> Any:
        """An empty FAISS index, trained on the `first` vectors (N, D) where it needs to be."""
        inner, settings = faiss.METRIC_INNER_PRODUCT, self.settings
        if self.kind == "flat":
            return faiss.IndexIDMap2(faiss.IndexFlatIP(self.dimension))
        if self.kind == "hnsw":
            graph = faiss.IndexHNSWFlat(self.dimension, settings.hnsw_m, inner)
            graph.hnsw.efConstruction = settings.ef_construction
            return graph
        wanted = settings.lists or round(4 * math.sqrt(len(first)))
        lists = max(1, min(wanted, len(first) // _POINTS_PER_LIST))
        # Written down, so that what is stored looks as far as when its recall was measured.
        self.settings = settings.model_copy(update={"probes": settings.probes_of(lists)})
        coarse = faiss.IndexFlatIP(self.dimension)
        if self.kind == "ivf":
            inverted = faiss.IndexIVFFlat(coarse, self.dimension, lists, inner)
            # FAISS's own 256 take minutes of a million songs, and recall is measured before an index is published.
            inverted.cp.max_points_per_centroid = 64
            inverted.train(first)
            return inverted
        parts = _divisor(self.dimension, settings.pq_parts or max(1, self.dimension // 2))
        compressed = faiss.IndexIVFPQ(coarse, self.dimension, lists, parts, settings.pq_bits, inner)
        compressed.pq.cp.min_points_per_centroid = 1
        # FAISS's own are 256 and 25. With 64 points, 8 rounds took a quarter of the time of 25 on 100,000 songs and
        # found as much.
        compressed.pq.cp.max_points_per_centroid = 64
        compressed.pq.cp.niter = 8
        # A code book must see at least as many vectors as it has entries: show it the few again.
        compressed.train(np.resize(first, (max(len(first), 2**settings.pq_bits), self.dimension)))
        return compressed

    def _rebuild_graph(self) -> None:
        """Drop what was removed, once it is most of the graph and searches wade through it."""
        alive = np.flatnonzero(self._track_of != _REMOVED)
        vectors = self._index.reconstruct_batch(alive)
        self._track_of = self._track_of[alive]
        self._index = self._make(vectors)
        self._index.add(vectors)

    def _nearest(self, queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self.kind != "ivfpq":
            return self._search(queries, count, everything=count >= self._index.ntotal)
        many = min(count * self.settings.rerank, self._index.ntotal)
        _, slots = self._search(queries, many, everything=count >= self._index.ntotal)
        return self._reranked(queries, slots, count)

    def _search(
        self, queries: NDArray[np.float32], count: int, everything: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What FAISS finds. everything: it must look at all there is."""
        parameters = None
        if self.kind == "hnsw":
            if everything:
                # Parts of the graph may be out of reach; the vectors below it are not.
                scores, slots = faiss.downcast_index(self._index.storage).search(queries, count)
                return scores, slots
            parameters = _faiss.SearchParametersHNSW(efSearch=max(self.settings.ef_search, count))
        elif self.kind != "flat":
            lists = self._index.nlist
            probes = self.settings.probes_of(lists)
            # Twice as many lists as hold `count` songs on average, so that a longer shortlist also looks further.
            probes = lists if everything else max(probes, math.ceil(2 * count * lists / self._index.ntotal))
            parameters = _faiss.SearchParametersIVF(nprobe=min(probes, lists))
        searcher = self._index if count > _GPU_COUNT else self._searcher()
        scores, slots = searcher.search(queries, count, params=parameters)
        return scores, slots

    def _reranked(
        self, queries: NDArray[np.float32], slots: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `count` best of `slots` (Q, at least `count`) by the stored vectors: scores and slots, (Q, count)."""
        best = np.full((len(queries), count), -1, np.int64)
        scores = np.full((len(queries), count), -np.inf, np.float32)
        for row, (query, listed) in enumerate(zip(queries, slots, strict=True)):
            found = listed[listed >= 0]
            # One query at a time: the same product, to the last bit, whatever the batch.
            similar = self._stored[found].astype(np.float32) @ query
            order = np.lexsort((found, -similar))[:count]
            best[row, : len(order)], scores[row, : len(order)] = found[order], similar[order]
        return scores, best

    def _searcher(self) -> Any:
        """A copy on the GPU, made on the first search after a change; the index itself where there is no GPU."""
        # Asked first: with no GPU, FAISS's own helpers hand back an empty index without a word.
        if self.gpu == "off" or self.kind not in _GPU_KINDS or faiss.get_num_gpus() == 0:
            return self._index
        if self._on_gpu is None:
            self._on_gpu = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, self._index)
        return self._on_gpu


def _divisor(number: int, at_most: int) -> int:
    return max(part for part in range(1, min(number, at_most) + 1) if number % part == 0)


def _mapped(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    """Stored vectors, read from the disk as they are needed."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise damaged(path, "it cannot be read") from error
    if stored.dtype != np.float16 or stored.shape != shape:
        raise damaged(path, f"not {shape[0]} vectors of {shape[1]} numbers")
    return np.asarray(stored)


def _read(path: Path) -> Any:
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        raise damaged(path, "it cannot be read") from error
