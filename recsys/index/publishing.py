"""The published index: `index/CURRENT` names the version in force, `v-<hash>/` holds it. Readers never see a half."""

import shutil

import polars as pl

from data.dataset import Dataset
from data.errors import DamagedError, UserError
from data.storage.atomic_files import write_text
from data.storage.hashing import inside, short_hash
from data.storage.manifest import Manifest, is_current, read_manifest, verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import read_vectors
from recsys.index import BACKENDS, VectorIndex, open_index

CURRENT = "CURRENT"
DEFAULT_BACKEND = "faiss-flat"
BUILD_AGAIN = "A build was cut off before its end: run python -m recsys.build_index again, it goes on from there."


def ensure_index(workspace: Workspace, dataset: Dataset, backend: str | None = None) -> str:
    """Publish an index over the item vectors of stage 2, unless it is there; returns what to tell the user.

    backend: a name in BACKENDS; None takes the published one's, or faiss-flat. Raises UserError for an unknown backend,
    ValueError where a vector is not finite.
    """
    backend = backend or _published_backend(workspace)
    if backend not in BACKENDS:
        raise UserError(f'no index backend "{backend}"', f"Take one of {', '.join(BACKENDS)}.")
    manifest = verify(workspace.vectors("preference"))
    made_from = {"dataset": dataset.fingerprint, "vectors": manifest.fingerprint}
    settings = {"backend": backend}
    version = f"v-{short_hash([made_from, settings])}"
    target = workspace.index / version
    if not (is_current(target, made_from, settings) and _named(workspace) == version):
        vectors = read_vectors(workspace.vectors("preference"), "item", dataset)
        index = BACKENDS[backend](vectors.dimension)
        if len(vectors.tracks):
            index.add(vectors.tracks, vectors.values)
        with publishing(target, "index", made_from, settings, manifest.trained_on) as draft:
            index.save(draft.folder)
            names = dataset.track_ids.to_names(vectors.tracks)
            pl.DataFrame({"track_id": names}, {"track_id": pl.String}).write_parquet(draft.folder / "ids.parquet")
            draft.facts |= {"songs": len(index), "dimension": vectors.dimension}
        write_text(workspace.index / CURRENT, version)
    for old in workspace.index.glob("v-*"):
        if old.name != version:
            shutil.rmtree(old, ignore_errors=True)
    return f"{verify(target).facts['songs']:,} songs, {backend}"


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


def _published_backend(workspace: Workspace) -> str:
    try:
        version = _current(workspace)
        manifest = read_manifest(workspace.index / version) if version is not None else None
    except DamagedError:
        manifest = None
    return str(manifest.settings["backend"]) if manifest is not None else DEFAULT_BACKEND
