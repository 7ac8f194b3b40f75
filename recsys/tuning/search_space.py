"""What may be tried for each source on validation, as the sources declare it. Every source gets the same number of
trials, ours included, and its defaults are the first of them.

Ranges follow Ferrari Dacrema et al. (2021, "A Troubling Analysis of Reproducibility") and the authors of
each method, cut to what minutes on two cores allow.
"""

from recsys.candidates import SETTINGS
from recsys.candidates.declaration import SearchSpace, query_settings, search_space

RULES = "3"
"""Raised where the same settings fit other models or choose other fusions: all is then chosen again."""

SPACE: dict[str, SearchSpace] = {name: search_space(settings) for name, settings in SETTINGS.items()}

QUERY_SETTINGS = frozenset(name for settings in SETTINGS.values() for name in query_settings(settings))
"""Settings that only matter when a source is asked; changing them needs no new fit."""
