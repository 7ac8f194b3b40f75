"""Songs hidden from every model: how well is a song ranked in the whole catalogue that was added only now?

The few songs that are new after validation say little, and are whatever came out last. Here songs are drawn at random,
or artists with all their songs, and everything is fitted again without their listening: both stages of the encoder and
every source, with the settings that validation chose. What is published stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.split import Split
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.mel_cache import ensure_mels
from encoders.encoding.vector_files import read_vectors
from encoders.options import STAGES
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import choose_recipe
from eval.results.terminal import in_words
from recsys.fitted.fit import ensure_baseline, ensure_models
from recsys.fitted.store import FittedSources, exact_index, load_models
from recsys.line_up import BASELINES
from recsys.tasks import HeldOut

SEED = 20260101
FITTED = (
    "settings are chosen on validation, which knew the hidden songs; with them every model, both stages of the encoder "
    "included, is fitted again on the past of the test without a play or playlist entry of a hidden song"
)


@dataclass(frozen=True)
class Hiding:
    """What is hidden. share: of the songs, or of the artists with all their songs; above 0, below 1."""

    share: float
    by: Literal["song", "artist"] = "song"
    seed: int = SEED

    @property
    def name(self) -> str:
        """Names its folder in the workspace."""
        return f"{self.by}s-{self.share:g}"

    def draw(self, dataset: Dataset) -> NDArray[np.bool_]:
        """(N,) the hidden songs, drawn at random from the whole catalogue.

        A song of an unknown artist is an artist of its own. Raises UserError where that is no song or every one.
        """
        drawn_from = artists_of(dataset) if self.by == "artist" else np.arange(len(dataset.track_ids))
        groups = int(drawn_from.max(initial=-1)) + 1
        count = round(self.share * groups)
        if not 0 < count < groups:
            some = "none" if count == 0 else "all"
            raise UserError(
                f"--hide-songs {self.share:g} hides {some} of {groups:,} {self.by}s",
                "Take another share, or a larger dataset.",
            )
        chosen = np.random.default_rng(self.seed).permutation(groups)[:count]
        return np.isin(drawn_from, chosen)

    def facts(self, dataset: Dataset, hidden: NDArray[np.bool_]) -> dict[str, Any]:
        """As it goes into JSON."""
        told: dict[str, Any] = {"share": self.share, "by": self.by, "seed": self.seed, "songs": int(hidden.sum())}
        if self.by == "artist":
            artists = artists_of(dataset)
            told |= {"artists": len(np.unique(artists[hidden])), "of_artists": int(artists.max()) + 1}
        return told | {"of_songs": len(hidden)}


def artists_of(dataset: Dataset) -> NDArray[np.int64]:
    """(N,) a number per artist from 0 on without a gap; a song whose artist is unknown has one of its own."""
    artists = dataset.artists.astype(np.int64)
    unknown = artists < 0
    artists[unknown] = artists.max(initial=-1) + 1 + np.arange(unknown.sum())
    return np.unique(artists, return_inverse=True)[1]


def refuse_nothing_learned(dataset: Dataset, split: Split) -> None:
    """Raises UserError where models would have nothing left to learn from."""
    past = split.past(dataset)
    if past.listens.is_empty() and past.playlist_tracks.is_empty():
        raise UserError("no play or playlist entry is left to learn from", "Hide fewer songs, or take more data.")


def without_hidden(question: HeldOut, split: Split, facts: dict[str, Any]) -> HeldOut:
    """The same question, whose histories do not hold the hidden songs; they are wanted as before, and may be answered.

    What was a repeat stays one, though no model knows of the plays before.
    """
    assert split.hidden is not None
    return replace(
        question,
        queries=[query.without(split.hidden) for query in question.queries],
        protocol=f"{question.protocol}. Hidden from the models, as if added when the test begins: {in_words(facts)}; "
        "no play or playlist entry of them is learned from or stands in a history (those in the test included), yet "
        "they are wanted as they were chosen and may be answered",
    )


def ensure_hidden(
    space: Workspace, dataset: Dataset, split: Split, hiding: Hiding, names: Sequence[str]
) -> tuple[Workspace, FittedSources]:
    """The models that have not met the hidden songs' listening, and where they are kept; the caller holds the lock.

    split: hides the songs. What is missing or was made from other data is trained and fitted; published things are only
    read. A training that was cut off goes on.
    """
    place = space.hiding(hiding.name)
    recipe, mels = choose_recipe(space, None, None), ensure_mels(space.mels, dataset)
    for stage in STAGES:
        train_stage(place, dataset, stage, recipe, "past", split=split)
        embed_stage(place, dataset, mels, stage)
    ensure_models(place, dataset, split, "past")
    baselines = [name for name in names if name in BASELINES]
    for name in baselines:
        ensure_baseline(place, dataset, split, name)
    index = exact_index(read_vectors(place.vectors("preference"), "item", dataset))
    return place, load_models(place, dataset, index, baselines)
