"""What settings are chosen on: the training part of the listening, or where that is much, a sample of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from data.dataset import Dataset
from recsys.candidates import CandidateSource, Htcl, Likeness, State
from recsys.fitted.store import make_source
from recsys.settings import ProductSettings
from recsys.tasks import TASKS, HeldOut, Task
from recsys.tuning.budget import Share
from recsys.tuning.choices import Chosen, fit_key
from recsys.tuning.sample import sampled
from recsys.tuning.source_settings import choose_settings, quality


@dataclass(frozen=True)
class TuningData:
    """What settings are chosen on: the training part, and the HTCL sources over vectors made from it."""

    dataset: Dataset
    training: Dataset
    htcl: Mapping[str, Htcl]
    likeness: Likeness | None
    product: ProductSettings

    @cached_property
    def tried_on(self) -> Dataset:
        """Where settings are tried: the training part, or a sample of its listeners."""
        return sampled(self.training)

    def source(
        self, name: str, settings: dict[str, Any], fits: dict[str, State], listening: Dataset | None = None
    ) -> CandidateSource:
        """A ready source; its fit is added to `fits` where it is missing. listening: to fit on, or all training."""
        if name in self.htcl:
            return self.htcl[name].with_settings(settings)
        source, key = make_source(name, settings, self.likeness), fit_key(name, settings)
        if key not in fits:
            fits[key] = source.fit(self.training if listening is None else listening).state()
        return source.restore(self.dataset, fits[key])

    def choose(self, name: str, asked: Mapping[Task, HeldOut], progress: Callable[[], None], share: Share) -> Chosen:
        """The source's best settings for each task, tried while its share lasts; its fits are of all training."""
        defaults = self.htcl[name].settings if name in self.htcl else make_source(name, {}).settings
        source_of = partial(self.source, name, listening=self.tried_on)
        chosen = choose_settings(
            name,
            defaults.model_dump(),
            asked,
            source_of,
            len(self.dataset.track_ids),
            progress,
            self.product.tuning.trials,
            self.product.ranking.depth,
            share.over,
        )
        if self.tried_on is not self.training and name not in self.htcl:
            self._fit_on_all(name, chosen, asked)
        return chosen

    def _fit_on_all(self, name: str, chosen: Chosen, asked: Mapping[Task, HeldOut]) -> None:
        """What settings that were chosen on a sample answer and reach when fitted on all training."""
        chosen.fits = {}
        for task, settings in chosen.settings.items():
            ranked = self.source(name, settings, chosen.fits).candidates(
                asked[task].queries, self.product.ranking.depth
            )
            chosen.ranked[task] = ranked
            chosen.reached[task] = quality(ranked, asked[task], len(self.dataset.track_ids))

    def too_dear(self, name: str, share: Share) -> str | None:
        """Why a source is left out: fits on all training, one for each task, would take longer than an equal share.

        Where they do not, their time is kept from its trials. Estimated from the defaults, fitted on the sample.
        """
        whole, part = (len(data.listens) + len(data.playlist_tracks) for data in (self.training, self.tried_on))
        if name in self.htcl or whole == part:
            return None
        started = share.clock()
        make_source(name, {}, self.likeness).fit(self.tried_on)
        seconds = (share.clock() - started) * whole / part * len(TASKS)
        if seconds <= share.equal:
            share.keep(seconds)
            return None
        return f"its fits would take about {seconds:,.0f} s, more than its {share.equal:,.0f} s of [tuning] minutes"
