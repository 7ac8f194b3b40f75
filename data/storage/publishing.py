"""Publish a step's folder: filled beside its target, described by a manifest, fsynced, and swapped in whole."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data.storage.atomic_files import restore_folder, swap_folders, sync_tree, write_text
from data.storage.hashing import plain, sha256
from data.storage.manifest import MANIFEST, Manifest, is_current, read_manifest, verify

PACKAGES = ("torch", "transformers", "polars", "duckdb", "implicit", "scikit-learn", "numpy")


@dataclass
class Draft:
    """A folder being filled. `facts` go into its manifest."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def publishing(
    target: Path,
    step: str,
    made_from: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    trained_on: dict[str, str] | None = None,
) -> Iterator[Draft]:
    """Fill `draft.folder`; left without an error it becomes `target` with a manifest and replaces what was there."""
    staging = target.with_name(f".{target.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    draft = Draft(staging)
    try:
        yield draft
        manifest = Manifest(
            step=step,
            made_from=dict(made_from or {}),
            settings=plain(settings or {}),
            trained_on=trained_on,
            facts=plain(draft.facts),
            versions={package: version(package) for package in PACKAGES},
            files=_checksums(staging),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        manifest.checksum = manifest.content_hash()
        write_text(staging / MANIFEST, manifest.model_dump_json(indent=1))
        sync_tree(staging)
        swap_folders(staging, target)
    except BaseException:
        restore_folder(target)
        shutil.rmtree(staging, ignore_errors=True)
        raise


def adopt(source: Path, target: Path, made_from: Mapping[str, str], settings: Mapping[str, Any]) -> bool:
    """Publish a copy of `source` as `target` where it was made from exactly this; returns whether it was.

    Raises DamagedError where a file of it is not as published.
    """
    if source == target or not is_current(source, made_from, settings):
        return False
    verify(source)
    staging = target.with_name(f".{target.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(source, staging)
    sync_tree(staging)
    swap_folders(staging, target)
    return True


def restate(folder: Path, facts: Mapping[str, Any]) -> Manifest:
    """Other facts for a published folder whose content stays as it is; its fingerprint stays too.

    Raises FileNotFoundError where nothing is published.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise FileNotFoundError(folder / MANIFEST)
    manifest.facts = plain(facts)
    manifest.checksum = manifest.content_hash()
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


def place(file: Path, target: Path) -> None:
    """The file under another name as well: a hard link, which takes no room; a copy where the disk has none.

    Published files are replaced and never written into, so that both names always show what was published.
    """
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _checksums(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    }
