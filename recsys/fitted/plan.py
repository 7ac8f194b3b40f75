"""What a build will do, decided and said before it starts.

Encoders are trained once, and settings chosen once. When songs and listens come or go, what is new is encoded by the
encoder there is, and what learns from plays is fitted again with the settings there are; training and tuning again is
asked for (`--retrain`, `--tune`), unless there was nothing to learn from and is now.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.audio.file_keys import unread
from data.dataset import Dataset
from data.errors import DamagedError
from data.split import Extent
from data.storage.manifest import Manifest, read_manifest
from data.storage.parquet import read_parquet
from data.storage.workspace import Workspace
from encoders.options import STAGES
from encoders.training.publish_stage import stays, trainings
from encoders.training.recipe import Recipe
from recsys.fitted.fit import chosen_before
from recsys.live.versions import live, named
from recsys.settings import ProductSettings


@dataclass(frozen=True)
class Work:
    """What is done in one place for trained things."""

    place: Workspace
    extent: Extent
    trains: bool
    "Whether the encoders are trained, or those there are stay."
    tunes: bool = False


@dataclass(frozen=True)
class Plan:
    """work: place by place, in order. retrain: what the data has outdated is to be made again, encoders included."""

    work: Sequence[Work]

    @classmethod
    def of(
        cls,
        workspace: Workspace,
        dataset: Dataset,
        recipe: Recipe,
        train_on: str,
        product: ProductSettings,
        retrain: bool = False,
        tune: bool = False,
    ) -> "Plan":
        """retrain: train again what has learned from other data. tune: choose settings again."""
        work = []
        for place, extent in trainings(workspace, train_on, dataset):
            trains = retrain or not stays(place, dataset, recipe, extent)
            if not place.below:
                work.append(Work(place, extent, trains))
            elif trains or tune or not _settled(workspace, dataset, product):
                work.append(Work(place, extent, trains, tunes=True))
        return cls(work)

    def is_news(self, workspace: Workspace, dataset: Dataset) -> bool:
        """Whether something answers already that was made from other data."""
        before = _answering(workspace)
        manifest = None if before is None else read_manifest(before.dataset)
        return manifest is not None and manifest.fingerprint != dataset.fingerprint

    def lines(self, workspace: Workspace, dataset: Dataset) -> Iterator[str]:
        """What will be done, a line a step, with the time it took the last time."""
        yield f"  catalogue   {_changes(workspace, dataset)}"
        if files := unread(workspace.mels, [dataset.audio_file(track) for track in range(len(dataset.track_ids))]):
            yield f"  mel         {files:,} new or changed audio files are read"
        for each in self.work:
            what = "for tuning" if each.place.below else "to be published"
            if each.trains:
                took = _took(read_manifest(each.place.encoder(stage)) for stage in STAGES)
                yield f"  train       stage 1 and stage 2, {what}{took}"
            if each.tunes:
                yield f"  tune        settings of every source, the fusion and the ranker{_took([_choices(workspace)])}"
        if not any(each.trains for each in self.work):
            yield "  encoder     stays; songs that it has not read yet are encoded (--retrain: train it again)"
        if not any(each.tunes for each in self.work):
            yield "  settings    stay (--tune: choose them again)"
        yield f"  models      fitted to today's plays{_took([read_manifest(workspace.models)])}, then the index"


def _settled(workspace: Workspace, dataset: Dataset, product: ProductSettings) -> bool:
    """Whether settings were chosen, for this product, on plays, unless there are none yet."""
    choices = _choices(workspace)
    if choices is None or chosen_before(workspace) != product:
        return False
    silent = dataset.listens.height + dataset.playlist_tracks.height == 0
    return silent or choices.facts.get("listening", 1) > 0


def _choices(workspace: Workspace) -> Manifest | None:
    return read_manifest(workspace.tuning.models)


def _took(manifests: Iterator[Manifest | None] | Sequence[Manifest | None]) -> str:
    seconds = sum(made.facts.get("seconds", 0.0) for made in manifests if made is not None)
    return f" ({seconds:,.0f} s the last time)" if seconds >= 1 else ""


def _answering(workspace: Workspace) -> Workspace | None:
    """The version in force; None where there is none, or a damaged one, which this build mends."""
    try:
        return None if named(workspace) is None else live(workspace)
    except DamagedError:
        return None


def _changes(workspace: Workspace, dataset: Dataset) -> str:
    """What came and went since the version that answers was made."""
    now = dataset.tracks
    answering = _answering(workspace)
    if answering is None:
        return dataset.summary()
    before = read_parquet(answering.dataset / "tracks.parquet")
    new, gone = (a.join(b, "track_id", "anti").height for a, b in ((now, before), (before, now)))
    shared = [name for name in now.columns if name in before.columns]
    both = now.select(shared).join(before.select(shared), "track_id", "semi")
    changed = both.height - both.join(before.select(shared), shared, "semi", nulls_equal=True).height
    return f"{dataset.summary()}: {new:,} new, {changed:,} changed, {gone:,} gone since the version that answers"
