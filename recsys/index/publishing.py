"""The published index: `index/CURRENT` names the version in force, `v-<hash>/` holds it. Readers never see a half."""

import shutil
from typing import Any

import polars as pl

from data.dataset import Dataset
from data.errors import DamagedError, UserError
from data.reporting import meter
from data.storage.atomic_files import write_text
from data.storage.hashing import inside, short_hash
from data.storage.manifest import Manifest, is_current, read_manifest, verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import Vectors, read_vectors
from recsys.index import BACKENDS, FaissIndex, VectorIndex, open_index
from recsys.index.card import IndexCard
from recsys.index.choosing import kind_for, memory_bytes
from recsys.index.recall import K, NearestSongs

CURRENT = "CURRENT"
AUTO = "auto"
MIN_RECALL = 0.95
EXACT = frozenset({"exact", "faiss-flat"})
"Backends that look at every song."
BUILD_AGAIN = "A build was cut off before its end: run python -m recsys.build_index again, it goes on from there."


def ensure_index(
    workspace: Workspace, dataset: Dataset, backend: str | None = None, min_recall: float | None = None
) -> str:
    """Publish an index over the item vectors of stage 2, unless it is there; returns what to tell the user.

    backend: a name in BACKENDS, or auto, which fits the kind to the number of songs; None takes what was asked for
    before, or auto. min_recall: the recall@100 against exact search below which no index is published; None takes what
    was asked for before, or 0.95. The kind asked for searches harder to reach it; where that is not enough, auto takes
    a kind that does, and a kind asked for by name is refused with a UserError: what was published before stays. Raises
    UserError for an unknown backend, ValueError where a vector is not finite.
    """
    before = _asked_before(workspace)
    asked = backend or before.get("asked", AUTO)
    if asked not in (AUTO, *BACKENDS):
        raise UserError(f'no index backend "{asked}"', f"Take one of {', '.join((AUTO, *BACKENDS))}.")
    least = before.get("min_recall", MIN_RECALL) if min_recall is None else min_recall
    manifest = verify(workspace.vectors("preference"))
    made_from = {"dataset": dataset.fingerprint, "vectors": manifest.fingerprint}
    settings = {"asked": asked, "min_recall": least}
    version = f"v-{short_hash([made_from, settings])}"
    target = workspace.index / version
    if not (is_current(target, made_from, settings) and _named(workspace) == version):
        vectors = read_vectors(workspace.vectors("preference"), "item", dataset)
        with meter("index", 1):
            kind, index, recall = _good_index(vectors, asked, least)
        with publishing(target, "index", made_from, settings, manifest.trained_on) as draft:
            index.save(draft.folder)
            IndexCard.read(draft.folder).model_copy(update={"recall": recall}).write(draft.folder)
            names = dataset.track_ids.to_names(vectors.tracks)
            pl.DataFrame({"track_id": names}, {"track_id": pl.String}).write_parquet(draft.folder / "ids.parquet")
            draft.facts |= {"songs": len(index), "dimension": vectors.dimension, "backend": kind, "recall@100": recall}
        write_text(workspace.index / CURRENT, version)
    for old in workspace.index.glob("v-*"):
        if old.name != version:
            shutil.rmtree(old, ignore_errors=True)
    return _in_words(verify(target))


def _good_index(vectors: Vectors, asked: str, least: float) -> tuple[str, VectorIndex, float]:
    """A kind that finds enough, its index and its recall@100."""
    songs = len(vectors.tracks)
    chosen = kind_for(songs, vectors.dimension, memory_bytes()) if asked == AUTO else asked
    others = [kind for kind in ("faiss-ivf", "faiss-flat") if kind != chosen] if asked == AUTO else []
    truth = None if chosen in EXACT or songs < 2 else NearestSongs.of(vectors.tracks, vectors.values)
    reached = 0.0
    for kind in (chosen, *others):
        index = BACKENDS[kind](vectors.dimension)
        if songs:
            index.add(vectors.tracks, vectors.values)
        if kind in EXACT or truth is None:
            return kind, index, 1.0
        reached = truth.recall(index)
        while reached < least and isinstance(index, FaissIndex) and index.harder():
            reached = truth.recall(index)
        if reached >= least:
            return kind, index, reached
    raise UserError(
        f"the {asked} index finds {reached:.3f} of the {K} nearest songs, below the {least:g} of --min-recall, however "
        "hard it searches; the index published before stays",
        f"Take --index auto, or {' or '.join(sorted(EXACT))}, which find all; or a lower --min-recall.",
    )


def _in_words(manifest: Manifest) -> str:
    facts = manifest.facts
    how = "chosen for this size" if manifest.settings["asked"] == AUTO else "as asked for"
    measured = "exact" if facts["backend"] in EXACT else f"recall@{K} {facts['recall@100']:.3f}"
    return f"{facts['songs']:,} songs, {facts['backend']} ({how}), {measured}"


def read_index(workspace: Workspace, dataset: Dataset) -> tuple[VectorIndex, Manifest]:
    """The index in force, checksums verified. Raises UserError where there is none, DamagedError where it is damaged.

    An index made from another dataset is refused: its songs would get other songs' names. So is one made from other
    vectors than those published: songs would be looked up in a space that is not theirs.
    """
    version = _current(workspace)
    if version is None:
        raise UserError(f"no index in {workspace.root}", "Run python -m recsys.build_index first.")
    folder = inside(workspace.index, version)
    manifest = verify(folder)
    if manifest.made_from["dataset"] != dataset.fingerprint:
        raise UserError(f"{folder} was made from another dataset", "Run python -m recsys.build_index again.")
    vectors = read_manifest(workspace.vectors("preference"))
    if vectors is None or manifest.made_from["vectors"] != vectors.fingerprint:
        raise UserError(f"{folder} was made from other vectors than those in the workspace", BUILD_AGAIN)
    return open_index(folder), manifest


def _current(workspace: Workspace) -> str | None:
    version = _named(workspace)
    if version is not None and not (version.startswith("v-") and (workspace.index / version).is_dir()):
        where = workspace.index / CURRENT
        raise DamagedError(f"{where} names {version!r}, which is not there", "Run python -m recsys.build_index again.")
    return version


def _named(workspace: Workspace) -> str | None:
    """What CURRENT says, whether or not it is there."""
    path = workspace.index / CURRENT
    return path.read_text("utf-8", "replace").strip() if path.is_file() else None


def _asked_before(workspace: Workspace) -> dict[str, Any]:
    """The settings of the index in force: `asked` and `min_recall`, as far as it says."""
    try:
        version = _current(workspace)
        manifest = read_manifest(workspace.index / version) if version is not None else None
    except DamagedError:
        return {}
    if manifest is None:
        return {}
    if "backend" in manifest.settings:  # of a version that took faiss-flat unless another was asked for
        backend = manifest.settings["backend"]
        return {} if backend == "faiss-flat" else {"asked": backend}
    return manifest.settings
