"""A ranker learned on validation: its features, its forest, and the order it puts candidates in."""
