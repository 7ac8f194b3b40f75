"""Benches of answers: one listener, batches, and what a larger catalogue costs."""
