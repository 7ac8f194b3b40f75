"""What a finished workspace holds, and whether two hold the same."""

import json
from pathlib import Path

import numpy as np

from data.storage.manifest import Manifest, read_manifest
from tests.recsys.faults import version_of

TRAINED = ("encoder-semantic", "vectors/semantic", "encoder", "vectors/preference", "models")
STEPS = ("dataset", "split", *(f"tuning/{step}" for step in TRAINED), *TRAINED)
"The published folders of a workspace, in the order in which they are made."


def published(root: Path) -> dict[str, Manifest]:
    """The manifest of every finished step."""
    folders = {step: root / step for step in STEPS}
    if (root / "index/CURRENT").exists():
        folders["index"] = version_of(root)
    return {step: manifest for step, folder in folders.items() if (manifest := read_manifest(folder)) is not None}


def file_times(root: Path) -> dict[str, int]:
    """When each file below the workspace was last written; the lock is touched by everyone."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in files}


def same_results(root: Path, other: Path) -> bool:
    """The same vectors bit for bit, the same models, the same index."""
    vectors = [
        np.array_equal(np.load(root / f"vectors/{stage}/{kind}.npy"), np.load(other / f"vectors/{stage}/{kind}.npy"))
        for stage in ("semantic", "preference")
        for kind in ("audio", "text", "item")
    ]
    choices = [json.loads((place / "models/choices.json").read_text()) for place in (root, other)]
    return all(vectors) and choices[0] == choices[1]
