"""Choosing settings and fusion weights on validation: search spaces, trials, objectives."""
