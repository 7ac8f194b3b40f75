"""Sources that know songs nobody has played: HTCL vectors, precomputed features, the artist."""
