"""The workspace: one folder with everything a run makes, published so that a half-written result is never visible.

Each step fills a folder beside its target and swaps it in once it is complete, fsynced and described by a manifest:
what it was made from, with which settings, and the checksum of every file. A reader verifies before it believes.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from data.console.progress import say
from data.errors import DamagedError, UserError

MANIFEST = "manifest.json"
PACKAGES = ("torch", "transformers", "polars", "duckdb", "implicit", "scikit-learn", "numpy")


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


@dataclass(frozen=True)
class Workspace:
    """Where each step's result lies below one root."""

    root: Path
    below: str = ""
    "Folder of trained things other than the published ones."

    @property
    def tuning(self) -> "Workspace":
        """The same data with what settings are chosen with: encoders of the training part, and what was chosen."""
        return replace(self, below="tuning")

    def repeat(self, number: int) -> "Workspace":
        """The same data with what another training of the published models gave."""
        return replace(self, below=f"repeats/{number}")

    @property
    def published(self) -> "Workspace":
        """The same data with what answers and is tested."""
        return replace(self, below="")

    @property
    def dataset(self) -> Path:
        return self.root / "dataset"

    @property
    def split(self) -> Path:
        return self.root / "split"

    @property
    def mels(self) -> Path:
        return self.root / "mels"

    @property
    def models(self) -> Path:
        return self._trained / "models"

    def baseline(self, name: str) -> Path:
        """A source that is only compared with."""
        return self._trained / "baselines" / name

    @property
    def index(self) -> Path:
        return self._trained / "index"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        """Curves of the trainings, for TensorBoard."""
        return self.root / "logs" / self.below

    def encoder(self, stage: str) -> Path:
        """`encoder` is the product's, after stage 2; what stage 1 gave is kept beside it for measuring."""
        return self._trained / ("encoder" if stage == "preference" else f"encoder-{stage}")

    def vectors(self, stage: str) -> Path:
        return self._trained / "vectors" / stage

    def ablation(self, variant: str) -> Path:
        """Vectors of a variant of the encoder, kept for measuring."""
        return self.root / "ablation" / variant.replace(" ", "-")

    def fold(self, name: str) -> Path:
        """Vectors of an encoder that was trained without a fold of the songs, kept for measuring."""
        return self.root / "folds" / name

    def scratch(self, name: str) -> Path:
        """A folder for a step's unfinished work, kept over an interruption and removed when the step is done."""
        path = self._scratch(name)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def discard_scratch(self, name: str) -> None:
        shutil.rmtree(self._scratch(name), ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process builds in a workspace; a second one says so and waits. A killed holder lets go by itself."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock", is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"Another process is building in {self.root}; waiting for it.")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @property
    def _trained(self) -> Path:
        return self.root / self.below

    def _scratch(self, name: str) -> Path:
        return self.root / ".work" / "-".join([*Path(self.below).parts, name])


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
        _sync_tree(staging)
        _swap(staging, target)
    except BaseException:
        _restore(target)
        shutil.rmtree(staging, ignore_errors=True)
        raise


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
    _sync_tree(staging)
    _swap(staging, target)
    return True


def verify(folder: Path) -> Manifest:
    """Check every file of a published folder against its manifest. Raises DamagedError naming the file."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"nothing is published in {folder}", "Run python -m recsys.build_index first.")
    command = "data.prepare" if manifest.step == "dataset" else "recsys.build_index"
    again = f"Remove {folder} and run python -m {command} again."
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise DamagedError(f"{path} is missing", again)
        if path.stat().st_size != facts["bytes"]:
            raise DamagedError(f"{path} has {path.stat().st_size:,} bytes, not the {facts['bytes']:,} published", again)
        if sha256(path) != facts["sha256"]:
            raise DamagedError(f"{path} is damaged: its checksum is not the published one", again)
    return manifest


def inside(base: Path, relative: str) -> Path:
    """`base / relative`, resolved. Raises UserError where it leaves `base`."""
    path = (base / relative).resolve()
    if not path.is_relative_to(base.resolve()):
        raise UserError(f"{relative} leaves {base}")
    return path


def write_text(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(content: object) -> str:
    """16 hex digits that stand for any JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, so that settings compare equal after a round trip."""
    return dict(json.loads(json.dumps(settings, default=str)))


def _checksums(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    }


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder, folder.parent]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(staging: Path, target: Path) -> None:
    """A folder cannot replace a full one in a single call: the old one steps aside, and _restore brings it back."""
    _restore(target)
    aside = target.with_name(f".{target.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    while staging.exists():
        if target.exists():
            os.replace(target, aside)
        try:
            os.replace(staging, target)
        except OSError as error:
            # A reader saw the gap between the two lines and restored the old one.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    shutil.rmtree(aside, ignore_errors=True)


def _manifest_bytes(folder: Path) -> bytes | None:
    """None where there is none; looks again, for a swap may be under way."""
    for _ in range(3):
        _restore(folder)
        with suppress(FileNotFoundError, NotADirectoryError):
            return (folder / MANIFEST).read_bytes()
    return None


def _restore(target: Path) -> None:
    aside = target.with_name(f".{target.name}.old")
    if aside.exists() and not target.exists():
        # Another process may be faster, with this or with the new version.
        with suppress(OSError):
            os.replace(aside, target)
