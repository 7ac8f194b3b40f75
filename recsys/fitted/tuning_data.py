"""What settings are chosen on: the training part of the listening, or where that is much, a sample of it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from data.dataset import Dataset
from recsys.candidates import CandidateSource, Htcl, Likeness, State
from recsys.fitted.store import make_source
from recsys.index.choosing import EXACT_UP_TO
from recsys.settings import ProductSettings
from recsys.tasks import TASKS, HeldOut, Task
from recsys.tuning.budget import Share
from recsys.tuning.choices import Chosen, fit_key
from recsys.tuning.sample import sampled
from recsys.tuning.search_space import SPACE
from recsys.tuning.source_settings import choose_settings, quality, sharing_one_fit

FEWEST_TRIALS = 3
"On a sample; where there is no time for so many, the defaults are taken."
NOT_DEAR = 10.0
"Seconds for which nobody is left out, however little time there is."
NEEDED = ("random", "popularity")
"What fills lists that are too short, and chance, which others are measured by, are never left out."
TIMED = 25
"Queries of each task that tell how long all will take."


@dataclass(frozen=True)
class TuningData:
    """What settings are chosen on: the training part, and the HTCL sources over vectors made from it."""

    dataset: Dataset
    training: Dataset
    htcl: Mapping[str, Htcl]
    likeness: Likeness | None
    product: ProductSettings
    known: dict[str, dict[str, State]] = field(default_factory=dict)
    "Fits of the defaults on the sample, by source, until they have been tried."
    took: dict[str, float] = field(default_factory=dict)
    "Seconds of each fit when it was last made."

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
            started = time.monotonic()
            fits[key] = source.fit(self.training if listening is None else listening).state()
            self.took[key] = time.monotonic() - started
        return source.restore(self.dataset, fits[key])

    def seconds_of(self, fits: Iterable[str]) -> float:
        """What these fits took."""
        return sum(self.took[key] for key in fits)

    def choose(self, name: str, asked: Mapping[Task, HeldOut], progress: Callable[[], None], share: Share) -> Chosen:
        """The source's best settings for each task, tried while its share lasts; its fits are of all training."""
        listening, known = self.training if share.fits == 0 else self.tried_on, self.known.pop(name, None)
        chosen = choose_settings(
            name,
            self._defaults(name),
            asked,
            partial(self.source, name, listening=listening),
            len(self.dataset.track_ids),
            progress,
            self.product.tuning.trials,
            self.product.ranking.depth,
            (lambda: True) if share.fits == 0 else share.over,
            known if listening is self.tried_on else None,
        )
        if listening is not self.training and name not in self.htcl:
            if share.fits == 1:
                chosen.settings = sharing_one_fit(name, chosen)
            self._fit_on_all(name, chosen, asked)
        return chosen

    def _defaults(self, name: str) -> dict[str, Any]:
        settings = self.htcl[name].settings if name in self.htcl else make_source(name, {}).settings
        return settings.model_dump()

    def _fit_on_all(self, name: str, chosen: Chosen, asked: Mapping[Task, HeldOut]) -> None:
        """What settings that were chosen on a sample answer and reach when fitted on all training."""
        chosen.fits = {}
        for task, settings in chosen.settings.items():
            ranked = self.source(name, settings, chosen.fits).candidates(
                asked[task].queries, self.product.ranking.depth
            )
            chosen.ranked[task] = ranked
            chosen.reached[task] = quality(ranked, asked[task], len(self.dataset.track_ids))

    def too_dear(self, name: str, asked: Mapping[Task, HeldOut], share: Share) -> str | None:
        """Why a source is left out: to fit its defaults on all training and to ask them once would take too long.

        Where they do not, the share is told what it has room for: a fit for each task, one for all tasks, or the
        defaults alone; their time is kept from its trials. Estimated from the defaults, fitted on the sample.
        """
        whole, part = (len(data.listens) + len(data.playlist_tracks) for data in (self.training, self.tried_on))
        if whole == part and len(self.dataset.track_ids) <= EXACT_UP_TO:
            return None
        fit, fixed, ask = self._seconds(name, asked, share.clock)
        fit_on_all = fixed + (fit - fixed) * whole / part
        most = max(share.most, NOT_DEAR)
        if fit_on_all + ask > most and name not in NEEDED:
            del self.known[name]
            return (
                f"a fit and its answers would take about {fit_on_all + ask:,.0f} s, more than the {most:,.0f} s "
                "that one source may have of [tuning] minutes"
            )
        if whole == part or name in self.htcl:
            return None
        trials = FEWEST_TRIALS * (fit + ask)
        room = [fits for fits in (len(TASKS), 1) if fits * fit_on_all + ask + trials <= share.seconds]
        share.fits = room[0] if room else 0
        share.keep(share.fits * fit_on_all + ask)
        return None

    def _seconds(
        self, name: str, asked: Mapping[Task, HeldOut], clock: Callable[[], float]
    ) -> tuple[float, float, float]:
        """What a fit of the defaults on the sample takes, and asking all questions once. The fit is kept for the first
        trial."""
        defaults = self._defaults(name)
        first = {setting: defaults[setting] for setting in SPACE[name]}
        fits: dict[str, State] = {}
        searched = 0.0 if self.likeness is None else self.likeness.seconds
        started = clock()
        source = self.source(name, first, fits, self.tried_on)
        fitted = clock()
        some = [query for question in asked.values() for query in question.queries[:TIMED]]
        source.candidates(some, self.product.ranking.depth)
        a_query = (clock() - fitted) / max(len(some), 1)
        self.known[name] = fits
        fixed = 0.0 if self.likeness is None else self.likeness.seconds - searched
        return fitted - started, fixed, a_query * sum(len(question.queries) for question in asked.values())
