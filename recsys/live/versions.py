"""The version that answers: all that a recommender reads, published as one.

A build replaces the workspace's folders one after the other, and `data.prepare` the dataset alone; who opened them in
between would find models of one dataset and an index of another. So a build that is complete links its folders into
`live/v-<hash>` (hard links: neither time nor disk) and swaps `live/CURRENT`, which names the version in force. Until
then the version before answers, and who has opened it finishes with it.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from data.errors import DamagedError
from data.storage.atomic_files import sync_tree, write_text
from data.storage.hashing import short_hash
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.options import STAGES

CURRENT = "CURRENT"
KEPT = 2
"The version in force, and the one before: somebody may be opening that just now."


def live(workspace: Workspace) -> Workspace:
    """The workspace as it answers: its version in force, or its own folders where a build has published none.

    Raises DamagedError where the version that is named is not there.
    """
    version = named(workspace)
    if version is None:
        return workspace
    place = workspace.at(version)
    if not (version.startswith("v-") and place.dataset.is_dir()):
        where = workspace.versions / CURRENT
        raise DamagedError(f"{where} names {version!r}, which is not there", "Run python -m recsys.build_index again.")
    return place


def named(workspace: Workspace) -> str | None:
    """The version in force; None where there is none."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return (workspace.versions / CURRENT).read_text("utf-8", "replace").strip()
    return None


def publish(workspace: Workspace) -> str:
    """Make what the workspace's folders hold now the version that answers; the caller holds the lock."""
    folders = _read_by_recommenders(workspace)
    made_of = [manifest.checksum for folder in folders if (manifest := read_manifest(folder)) is not None]
    index = (workspace.index / CURRENT).read_text("utf-8").strip()
    version = f"v-{short_hash([made_of, index])}"
    target = workspace.versions / version
    parts = {folder: target / folder.relative_to(workspace.root) for folder in (*folders, workspace.index)}
    if named(workspace) == version and all(_files(here) == _files(there) for here, there in parts.items()):
        return version
    staging = workspace.versions / f".{version}.new"
    shutil.rmtree(staging, ignore_errors=True)
    for folder in parts:
        shutil.copytree(folder, staging / folder.relative_to(workspace.root), copy_function=_link)
    sync_tree(staging)
    shutil.rmtree(target, ignore_errors=True)  # of a build that was cut off before it was named
    os.replace(staging, target)
    before = named(workspace)
    write_text(workspace.versions / CURRENT, version)
    for old in workspace.versions.iterdir():
        if old.is_dir() and old.name not in (version, before):
            shutil.rmtree(old, ignore_errors=True)
    return version


def _read_by_recommenders(workspace: Workspace) -> list[Path]:
    """The folders with a manifest; the index has its own versions."""
    trained = [place(stage) for place in (workspace.encoder, workspace.vectors) for stage in STAGES]
    return [workspace.dataset, workspace.texts, workspace.models, *trained]


def _files(folder: Path) -> dict[str, int | bytes]:
    """Of each file its size; what has no checksum, its content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.name == CURRENT else path.stat().st_size
        for path in files
    }


def _link(source: str, target: str) -> str:
    """The same file under another name; a copy where the disk knows no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
