"""Vector indexes: which songs lie nearest to a vector?

One contract (`contract.VectorIndex`), several backends. A new one is a file and a line in `BACKENDS`; the contract
tests find it there.

    index = BACKENDS["faiss-hnsw"](256)
    index.add(ids, vectors)
    index.search(queries, k=20, exclude=heard)
    index.save(folder)
    open_index(folder)
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UserError, closest
from recsys.index.card import IndexCard
from recsys.index.contract import VectorIndex
from recsys.index.faiss_index import FaissIndex, FaissSettings

if TYPE_CHECKING:
    from recsys.index.exact import ExactIndex, ExactSettings

__all__ = ["BACKENDS", "ExactIndex", "ExactSettings", "FaissIndex", "FaissSettings", "VectorIndex", "open_index"]


def _exact(dimension: int) -> VectorIndex:
    from recsys.index.exact import ExactIndex  # loads torch, which takes seconds

    return ExactIndex(dimension)


def __getattr__(name: str) -> Any:
    if name not in ("ExactIndex", "ExactSettings"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from recsys.index import exact

    return getattr(exact, name)


BACKENDS: dict[str, Callable[[int], VectorIndex]] = {
    "exact": _exact,
    "faiss-flat": partial(FaissIndex, kind="flat"),
    "faiss-hnsw": partial(FaissIndex, kind="hnsw"),
    "faiss-ivf": partial(FaissIndex, kind="ivf"),
    "faiss-ivfpq": partial(FaissIndex, kind="ivfpq"),
}
"How to make an empty index of a dimension, by name."


def open_index(folder: Path) -> VectorIndex:
    """The index that was saved in `folder`, whichever backend wrote it.

    Raises UserError for a backend that is not in `BACKENDS`, DamagedError where files are missing or do not fit.
    """
    name = IndexCard.read(folder).backend
    if name not in BACKENDS:
        raise UserError(
            f'{folder} was written by an unknown index backend "{name}"{closest(name, BACKENDS)}',
            f"Known: {', '.join(BACKENDS)}. Build the index again, or update this program.",
        )
    return type(BACKENDS[name](1)).load(folder)
