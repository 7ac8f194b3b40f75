"""Benches of ranking, metrics and sessions against plain loops and pandas."""
