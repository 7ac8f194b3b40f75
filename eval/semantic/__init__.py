"""What the vectors know of a song: linear probes, tagging by words, retrieval, cross-validation."""
