"""The manifest of a published folder: what it was made from, its settings, and every file's checksum."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from data.errors import DamagedError, UserError
from data.storage.atomic_files import restore_folder
from data.storage.hashing import plain, sha256, short_hash

MANIFEST = "manifest.json"


class Manifest(BaseModel):
    """What a published folder holds and where it came from."""

    step: str
    made_from: dict[str, str] = {}
    "Fingerprints of what it was made from."
    settings: dict[str, Any] = {}
    trained_on: dict[str, str] | None = None
    """For trained things: the split's fingerprint, and which part they learned from: the songs that the split leaves to
    stage 1 (split), the listening of training (train), or before the test (past), or everything (all)."""
    facts: dict[str, Any] = {}
    versions: dict[str, str] = {}
    files: dict[str, dict[str, Any]] = {}
    "Path below the folder -> {bytes, sha256}."
    made_at: str = ""
    checksum: str = ""
    "Of everything above."

    def content_hash(self) -> str:
        """What `checksum` has to be."""
        return short_hash(json.loads(self.model_dump_json(exclude={"checksum"})))

    @property
    def fingerprint(self) -> str:
        """Hash of what the folder holds and how it was made; the same inputs give the same fingerprint."""
        content = self.model_dump(include={"step", "made_from", "settings", "trained_on", "files"})
        return short_hash(content)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a published folder; None where there is none. Raises DamagedError where it cannot be read."""
    path = folder / MANIFEST
    text = _manifest_bytes(folder)
    if text is None:
        return None
    again = f"Remove {folder} and build again."
    try:
        manifest = Manifest.model_validate_json(text)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged", again) from error
    if manifest.checksum and manifest.checksum != manifest.content_hash():
        raise DamagedError(f"{path} is damaged: its checksum is not the published one", again)
    return manifest


def is_current(folder: Path, made_from: Mapping[str, str], settings: Mapping[str, Any]) -> bool:
    """Was the folder made from exactly this, and does each of its files still have its size? A damaged one is not."""
    try:
        manifest = read_manifest(folder)
    except DamagedError:
        return False
    if manifest is None or manifest.made_from != dict(made_from) or manifest.settings != plain(settings):
        return False
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == facts["bytes"]
        for name, facts in manifest.files.items()
    )


def verify(folder: Path, only: Collection[str] | None = None) -> Manifest:
    """Check every file of a published folder against its manifest. Raises DamagedError naming the file.

    only: check these and no others, of those that the manifest names; checksums take 0.7 s a gigabyte.
    """
    manifest = _published(folder)
    for name in manifest.files:
        if only is None or name in only:
            _check(folder, name, manifest, sha256)
    return manifest


def read_verified(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of a published folder and the content of each file, for a reader who must not see it replaced later.
    Raises as `verify`."""
    manifest, content = _published(folder), {}

    def digest(path: Path) -> str:
        content[path] = path.read_bytes()
        return hashlib.sha256(content[path]).hexdigest()

    for name in manifest.files:
        _check(folder, name, manifest, digest)
    return manifest, {name: content[folder / name] for name in manifest.files}


def _published(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"nothing is published in {folder}", "Run python -m recsys.build_index first.")
    return manifest


def _check(folder: Path, name: str, manifest: Manifest, digest: Callable[[Path], str]) -> None:
    path, facts = folder / name, manifest.files[name]
    command = "data.prepare" if manifest.step in ("dataset", "import") else "recsys.build_index"
    again = f"Remove {folder} and run python -m {command} again."
    if not path.is_file():
        raise DamagedError(f"{path} is missing", again)
    if path.stat().st_size != facts["bytes"]:
        raise DamagedError(f"{path} has {path.stat().st_size:,} bytes, not the {facts['bytes']:,} published", again)
    if digest(path) != facts["sha256"]:
        raise DamagedError(f"{path} is damaged: its checksum is not the published one", again)


def _manifest_bytes(folder: Path) -> bytes | None:
    """None where there is none; looks again, for a swap may be under way."""
    for _ in range(3):
        restore_folder(folder)
        with suppress(FileNotFoundError, NotADirectoryError):
            return (folder / MANIFEST).read_bytes()
    return None
