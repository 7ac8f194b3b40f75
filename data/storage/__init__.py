"""Files, and nothing of music: the workspace's paths, manifests, atomic publishing, hashes, Parquet and DuckDB."""
