"""Checksums of files, short hashes of settings, and paths that cannot leave their folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.errors import UserError


def inside(base: Path, relative: str) -> Path:
    """`base / relative`, resolved. Raises UserError where it leaves `base`."""
    path = (base / relative).resolve()
    if not path.is_relative_to(base.resolve()):
        raise UserError(f"{relative} leaves {base}")
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(content: object) -> str:
    """16 hex digits that stand for any JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, so that settings compare equal after a round trip."""
    return dict(json.loads(json.dumps(settings, default=str)))
