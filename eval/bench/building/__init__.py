"""Bench of a whole build: from tables to a published index, by the size of the catalogue."""
