"""The split: made once, recorded, and the same for every model and every task.

One moment divides past from future for all listeners: before `validation_from` is training, from `test_from` on is
test, between them validation. Where plays have only an order, each listener's own order is divided instead, which lets
a model see other listeners' later plays; results say so. The plays within `gap` before either moment belong to no part:
else a session that the moment cuts in two would be half in training.

`leave-last-out` holds out each listener's last play (test) and the one before (validation), whenever these were. Models
then learn from what others played later: the future leaks. It exists for numbers to be compared with published ones.

The moments divide listening as most listeners do it: of a listener who plays more than ten times as much as the one in
the middle the plays count less, or one account would be all that is validated and tested. Where the moments leave a
part less than a quarter of what is due to it (all plays at one time, or within minutes), each listener's order is
divided instead, and that is said.

Playlists are held out whole: all those last changed after the training period, and as many of the others as the share
asks for.

Settings are chosen on validation with models of the training part; what is tested and published is then fitted again on
the *past* of the test: training, validation and the gap between them, but no play in the gap before the test, and no
entry of a playlist that is dated after its beginning. A track is *cold* before a part if what its models were fitted on
holds no play and no playlist entry of it: validation asks for songs that are new after training, test for songs that
are new after validation.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from data.dataset import Dataset
from data.errors import DamagedError
from data.reporting import logger
from data.storage.hashing import short_hash
from data.storage.manifest import Manifest, is_current, read_manifest, verify
from data.storage.parquet import read_parquet
from data.storage.publishing import publishing
from data.storage.workspace import Workspace

log = logger(__name__)

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
Extent = Literal["train", "past", "all"]
"""Which listening a model learns from: the training part, everything before the test, everything."""
IN_GAP = -1
"""Code for listens inside the gap: not training, not a target, but still in the listener's history."""
Method = Literal["time", "leave-last-out"]
DUE = 0.25
"What a part must have of its share of the listening; else time does not divide it."
FEWEST = 10
"Plays due to a part from which that is asked: of fewer, chance alone takes most."
HEAVY = 10
"""Plays of a listener, as a multiple of the median listener's, beyond which they count less in choosing the moments,
and queries beyond which no more of them are asked."""
LEAKS = (
    "each listener's last play is held out, whenever it was: models have learned from plays of others that came later, "
    "so the future LEAKS into these numbers; compare them with published ones of the same protocol and with no others"
)


class SplitSettings(BaseModel):
    """How the data is divided."""

    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    "Share of the listens, and of the playlists, that choose settings."
    test_share: float = Field(default=0.1, gt=0, lt=0.5)
    "Share of the latest listens that measure."
    playlist_test_share: float = Field(default=0.2, gt=0, lt=0.5)
    "Share of the playlists that measure."
    unheard_test_share: float = Field(default=0.2, ge=0, lt=0.5)
    "Share of the songs that nobody plays and no playlist holds that measure what an encoder makes of new songs."
    seed: int = 20260101
    "Which playlists and songs are held out."
    method: Method = "time"
    "What divides the listens; leave-last-out leaks the future and is for comparison with published numbers alone."
    gap: timedelta = Field(default=timedelta(minutes=30), ge=timedelta(0))
    "Plays within so long before validation and before test belong to no part (30 minutes as in Yambda's protocol)."

    def recorded(self) -> dict[str, Any]:
        """As a manifest keeps them. Splits made before there was a gap or a method name neither, and stay valid."""
        kept = self.model_dump(mode="json")
        if self.method == "time":
            del kept["method"]
        if not self.gap:
            del kept["gap"]
        return kept

    @classmethod
    def from_recorded(cls, settings: dict[str, Any]) -> "SplitSettings":
        """What `recorded` wrote."""
        return cls.model_validate({"gap": timedelta(0), **settings})


@dataclass(frozen=True)
class Split:
    """Which part each row of a dataset belongs to.

    listens, playlists: int8 index into PARTS, IN_GAP for none, aligned with the dataset's rows. new_after_training,
    new_after_validation: bool per track, nothing of it in the training part, or in the past of the test. held_out_only:
    bool per track, those that stage 1 may not learn from: new after training and yet listened to, and some of those
    that nobody listens to.
    """

    listens: NDArray[np.int8]
    playlists: NDArray[np.int8]
    new_after_training: NDArray[np.bool_]
    new_after_validation: NDArray[np.bool_]
    held_out_only: NDArray[np.bool_]
    manifest: Manifest
    hidden: NDArray[np.bool_] | None = None
    "Bool per track: songs whose listening nothing learns from; None hides nothing."

    @property
    def fingerprint(self) -> str:
        """Of the split, and of what is hidden: whatever was trained on another is not current."""
        if self.hidden is None:
            return self.manifest.fingerprint
        return short_hash([self.manifest.fingerprint, np.flatnonzero(self.hidden).tolist()])

    def hiding(self, songs: NDArray[np.bool_]) -> "Split":
        """The same parts, with these songs (a mask over the tracks) as if they were added when the test begins.

        Nothing of them is in the training part or in the past; what is held out stays, and so they may be wanted.
        """
        return replace(
            self,
            hidden=songs,
            new_after_training=self.new_after_training | songs,
            new_after_validation=self.new_after_validation | songs,
            held_out_only=self.held_out_only | songs,
        )

    @property
    def order(self) -> str:
        """`time` where one moment divides everybody, `position` where each listener's order is divided, or
        `leave-last-out`."""
        return str(self.manifest.facts["order"])

    def moment(self, part: Part) -> datetime | None:
        """When a part begins; None for training and where no times are known."""
        value = self.manifest.facts.get(f"{part}_from")
        return datetime.fromisoformat(value) if value else None

    def listens_of(self, dataset: Dataset, *parts: Part) -> pl.DataFrame:
        """Rows of the listens that belong to the parts."""
        return dataset.listens.filter(pl.Series(np.isin(self.listens, [PARTS.index(part) for part in parts])))

    def playlists_of(self, part: Part) -> NDArray[np.int32]:
        """Playlist rows of a part."""
        return np.flatnonzero(self.playlists == PARTS.index(part)).astype(np.int32)

    def training(self, dataset: Dataset) -> Dataset:
        """The dataset with the training part of its listening and nothing else."""
        entries = self._entries(dataset, ("train",), self.moment("validation"))
        return self._without_hidden(dataset.only(self.listens_of(dataset, "train"), entries))

    def past(self, dataset: Dataset) -> Dataset:
        """The dataset with what was listened to before the test and nothing else."""
        start = self.moment("validation")
        known = np.isin(self.listens, [PARTS.index("train"), PARTS.index("validation")])
        if start is not None and self.order == "time":
            known |= (self.listens == IN_GAP) & (dataset.listens["listened_at"] < start).fill_null(False).to_numpy()
        entries = self._entries(dataset, ("train", "validation"), self.moment("test"))
        return self._without_hidden(dataset.only(dataset.listens.filter(pl.Series(known)), entries))

    def learned_from(self, dataset: Dataset, extent: Extent) -> Dataset:
        """The dataset with the listening that a model of this extent learns from."""
        if extent == "all":
            return dataset
        return self.training(dataset) if extent == "train" else self.past(dataset)

    def cold_before(self, part: Part) -> NDArray[np.bool_]:
        """Bool per track: the models that answer the part's questions have learned from no listening to it."""
        return self.new_after_validation if part == "test" else self.new_after_training

    def _without_hidden(self, part: Dataset) -> Dataset:
        return part if self.hidden is None else part.without(self.hidden)

    def _entries(self, dataset: Dataset, parts: tuple[Part, ...], before: datetime | None) -> pl.DataFrame:
        """Entries of the parts' playlists, without those of a later date; an undated one is as old as its playlist."""
        rows = np.concatenate([self.playlists_of(part) for part in parts])
        entries = dataset.playlist_tracks.filter(pl.col("playlist").is_in(rows.tolist()))
        if before is None or entries.is_empty():
            return entries
        date = entries["added_at"].fill_null(dataset.playlists["modified_at"].gather(entries["playlist"]))
        return entries.filter((date < before).fill_null(True))


def ensure_split(workspace: Workspace, dataset: Dataset, settings: SplitSettings | None = None) -> Split:
    """The recorded split of this dataset; made now if there is none, or if the dataset or the settings are others.

    settings: None takes the recorded split whatever its settings are.
    """
    made_from = {"dataset": dataset.fingerprint}
    recorded = settings or _recorded_settings(workspace, made_from) or SplitSettings()
    if not is_current(workspace.split, made_from, recorded.recorded()):
        with publishing(workspace.split, "split", made_from, recorded.recorded()) as draft:
            listens, draft.facts = _divide_listens(dataset, recorded)
            playlists = _divide_playlists(dataset, recorded, draft.facts)
            pl.DataFrame({"playlist_id": dataset.playlists["playlist_id"], "part": playlists}).write_parquet(
                draft.folder / "playlists.parquet"
            )
            pl.DataFrame({"part": listens}).write_parquet(draft.folder / "listens.parquet")
    manifest = verify(workspace.split)
    listens = read_parquet(workspace.split / "listens.parquet")["part"].to_numpy()
    playlists = read_parquet(workspace.split / "playlists.parquet")["part"].to_numpy()
    none = np.zeros(len(dataset.track_ids), np.bool_)
    split = Split(listens, playlists, none, none, none, manifest)
    cold, still_cold = _never_used(split.training(dataset)), _never_used(split.past(dataset))
    unheard = _never_used(dataset)
    drawn = np.random.default_rng([recorded.seed, 2]).permutation(np.flatnonzero(unheard))
    unheard[drawn[: round(recorded.unheard_test_share * len(drawn))]] = False
    return Split(listens, playlists, cold, still_cold, cold & ~unheard, manifest)


def _recorded_settings(workspace: Workspace, made_from: dict[str, str]) -> SplitSettings | None:
    try:
        manifest = read_manifest(workspace.split)
    except DamagedError:
        return None
    if manifest is None or manifest.made_from != made_from:
        return None
    return SplitSettings.from_recorded(manifest.settings)


def _divide_listens(dataset: Dataset, settings: SplitSettings) -> tuple[NDArray[np.int8], dict[str, object]]:
    listens = dataset.listens
    train = 1 - settings.validation_share - settings.test_share
    timed = listens["listened_at"].null_count() == 0
    if listens.is_empty():
        return np.zeros(0, np.int8), {"order": "time"}
    if settings.method == "leave-last-out":
        left = listens.select(pl.len().over("user") - 1 - pl.int_range(pl.len()).over("user")).to_series().to_numpy()
        # Who has a single play trains with it.
        alone = listens.select(pl.len().over("user") == 1).to_series().to_numpy()
        return np.where(alone, 0, np.clip(2 - left, 0, 2)).astype(np.int8), {"order": "leave-last-out"}
    if not timed:
        return _by_position(listens, settings), {"order": "position"}
    counted = _counted(listens)
    order = listens["listened_at"].arg_sort().to_numpy()
    reached = np.cumsum(counted[order])
    starts = [
        listens["listened_at"][int(order[min(np.searchsorted(reached, q * reached[-1], side="right"), len(order) - 1)])]
        for q in (train, 1 - settings.test_share)
    ]
    facts: dict[str, object] = {
        "order": "time",
        "validation_from": starts[0].isoformat(),
        "test_from": starts[1].isoformat(),
    }
    at = listens["listened_at"]
    part = ((at >= starts[0]).cast(pl.Int8) + (at >= starts[1]).cast(pl.Int8)).to_numpy().copy()
    for start in starts:
        part[((at >= start - settings.gap) & (at < start)).to_numpy()] = IN_GAP
    facts["in_gap"] = int((part == IN_GAP).sum())
    due = (train, settings.validation_share, settings.test_share)
    for number, (name, share) in enumerate(zip(PARTS, due, strict=True)):
        wanted = share * counted.sum()
        if wanted >= FEWEST and counted[part == number].sum() < DUE * wanted:
            found = f"{int((part == number).sum()):,} of {len(part):,} plays"
            why = f"time leaves {found} for {name}, and {share:.0%} are due: each listener's own order is divided"
            log.warning(f"  split       {why}")
            return _by_position(listens, settings), {"order": "position", "why": why}
    return part, facts


def _by_position(listens: pl.DataFrame, settings: SplitSettings) -> NDArray[np.int8]:
    """Each listener's plays divided by their order."""
    fraction = (pl.int_range(pl.len()).over("user") + 0.5) / pl.len().over("user")
    share = listens.select(fraction).to_series().to_numpy()
    return _parts(share, 1 - settings.validation_share - settings.test_share, 1 - settings.test_share)


def _counted(listens: pl.DataFrame) -> NDArray[np.float64]:
    """(plays,) what each counts in choosing the moments: 1, less where its listener has more than HEAVY medians."""
    plays = np.bincount(listens["user"].to_numpy())
    most = HEAVY * np.median(plays[plays > 0])
    counted: NDArray[np.float64] = np.minimum(1.0, most / np.maximum(plays, 1))[listens["user"].to_numpy()]
    return counted


def _divide_playlists(dataset: Dataset, settings: SplitSettings, facts: dict[str, object]) -> NDArray[np.int8]:
    count = dataset.playlists.height
    modified = dataset.playlists["modified_at"]
    if "validation_from" not in facts and modified.null_count() < count:
        held_out = 1 - settings.validation_share - settings.playlist_test_share
        start = modified.drop_nulls().sort()[int(held_out * (count - modified.null_count()))]
        facts["validation_from"] = start.isoformat()
    late = np.zeros(count, np.bool_)
    if "validation_from" in facts:
        start = datetime.fromisoformat(str(facts["validation_from"]))
        late = (modified >= start).fill_null(False).to_numpy()
    wanted = round(count * (settings.validation_share + settings.playlist_test_share))
    order = np.random.default_rng(settings.seed).permutation(count)
    order = np.concatenate([order[late[order]], order[~late[order]]])
    held = order[: max(wanted, int(late.sum()))]
    held = np.random.default_rng([settings.seed, 1]).permutation(held)
    to_validation = settings.validation_share / (settings.validation_share + settings.playlist_test_share)
    n_validation = round(len(held) * to_validation)
    parts = np.zeros(count, np.int8)
    parts[held[:n_validation]], parts[held[n_validation:]] = PARTS.index("validation"), PARTS.index("test")
    return parts


def _parts(share: NDArray[np.float64], validation: float, test: float) -> NDArray[np.int8]:
    return ((share >= validation).astype(np.int8) + (share >= test)).astype(np.int8)


def _never_used(dataset: Dataset) -> NDArray[np.bool_]:
    unused = np.ones(len(dataset.track_ids), np.bool_)
    unused[dataset.listens["track"].to_numpy()] = False
    unused[dataset.playlist_tracks["track"].to_numpy()] = False
    return unused
