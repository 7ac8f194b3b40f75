"""Where the index in force lies, and how files get damaged."""

import os
from pathlib import Path


def answering(root: Path) -> Path:
    """The version that recommenders open."""
    return root / "live" / (root / "live/CURRENT").read_text().strip()


def version_of(root: Path) -> Path:
    """The index in force."""
    return root / "index" / (root / "index/CURRENT").read_text().strip()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
