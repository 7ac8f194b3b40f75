"""The workspace: one folder with everything a run makes, published so that a half-written result is never visible.

Each step fills a folder beside its target and swaps it in once it is complete, fsynced and described by a manifest:
what it was made from, with which settings, and the checksum of every file. A reader verifies before it believes.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from data.reporting import logger

log = logger(__name__)


@dataclass(frozen=True)
class Workspace:
    """The path of each step's result below one root."""

    root: Path
    below: str = ""
    "Folder of trained things other than the published ones."
    version: str = ""
    "Folder of a version that answers; empty for what builds work on."

    @property
    def tuning(self) -> "Workspace":
        """The same data with what settings are chosen with: encoders of the training part, and what was chosen."""
        return replace(self, below="tuning")

    def repeat(self, number: int) -> "Workspace":
        """The same data with what another training of the published models gave."""
        return replace(self, below=f"repeats/{number}")

    def hiding(self, songs: str) -> "Workspace":
        """The same data with models that know nothing of the listening to some songs. songs: names which."""
        return replace(self, below=f"hidden/{songs}")

    @property
    def published(self) -> "Workspace":
        """The same data with what answers and is tested."""
        return replace(self, below="")

    @property
    def versions(self) -> Path:
        """What answers, published as a whole (`recsys/live/versions.py`)."""
        return self.root / "live"

    def at(self, version: str) -> "Workspace":
        """What a recommender reads of one version."""
        return replace(self, below="", version=f"live/{version}")

    @property
    def dataset(self) -> Path:
        return self._at / "dataset"

    @property
    def events(self) -> Path:
        """What has come since the dataset was made; see `data/events`."""
        return self.root / "events.sqlite"

    @property
    def imports(self) -> Path:
        """A published folder of tables for each import; `dataset` is composed of them."""
        return self.root / "imports"

    @property
    def matches(self) -> Path:
        """Which songs of an import are songs that earlier imports have, by the import's name."""
        return self.root / "matches"

    @property
    def split(self) -> Path:
        return self.root / "split"

    @property
    def mels(self) -> Path:
        return self.root / "mels"

    @property
    def texts(self) -> Path:
        """The index of titles, artists and albums."""
        return self._at / "texts"

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
            log.warning(f"Another process is building in {self.root}; waiting for it.")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @property
    def _at(self) -> Path:
        return self.root / self.version

    @property
    def _trained(self) -> Path:
        return self._at / self.below

    def _scratch(self, name: str) -> Path:
        return self.root / ".work" / "-".join([*Path(self.below).parts, name])
