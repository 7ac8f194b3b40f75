"""The published index: `index/CURRENT` names the version in force, `v-<hash>/` holds it. Readers never see a half."""

import shutil
from pathlib import Path

import polars as pl

from data.dataset import Dataset
from data.errors import DamagedError, UserError
from data.workspace import Manifest, Workspace, inside, is_current, publishing, short_hash, verify, write_text
from encoders.vectors import read_vectors
from recsys.index import BACKENDS, VectorIndex, open_index

CURRENT = "CURRENT"


def ensure_index(workspace: Workspace, dataset: Dataset, backend: str) -> str:
    """Publish an index over the item vectors of stage 2, unless it is there; returns what to tell the user.

    Raises UserError for an unknown backend, ValueError where a vector is not finite.
    """
    if backend not in BACKENDS:
        raise UserError(f'no index backend "{backend}"', f"Take one of {', '.join(BACKENDS)}.")
    manifest = verify(workspace.vectors("preference"))
    made_from = {"dataset": dataset.fingerprint, "vectors": manifest.fingerprint}
    settings = {"backend": backend}
    version = f"v-{short_hash([made_from, settings])}"
    target = workspace.index / version
    if not (is_current(target, made_from, settings) and _current(workspace) == version):
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

    An index made from another dataset is refused: its songs would get other songs' names.
    """
    version = _current(workspace)
    if version is None:
        raise UserError(f"no index in {workspace.root}", "Run python -m recsys.build_index first.")
    folder = inside(workspace.index, version)
    manifest = verify(folder)
    if manifest.made_from["dataset"] != dataset.fingerprint:
        raise UserError(f"{folder} was made from another dataset", "Run python -m recsys.build_index again.")
    return open_index(folder), manifest


def _current(workspace: Workspace) -> str | None:
    path = workspace.index / CURRENT
    if not path.is_file():
        return None
    version = path.read_text("utf-8").strip()
    if not version.startswith("v-") or not (Path(workspace.index) / version).is_dir():
        raise DamagedError(f"{path} names {version!r}, which is not there", "Run python -m recsys.build_index again.")
    return version
