"""The name of an import: the importer and the files it read, so that the same import again is the same name."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from data.storage.hashing import short_hash
from data.tables import SCHEMAS

LONGEST = 40
"Characters of a name before its hash."
WHERE = ("path", *SCHEMAS)
"Settings that say what an importer reads. Others, such as how columns are mapped, make no other import."


def import_name(settings: Mapping[str, object]) -> str:
    """`folder-music-1a2b3c`; importers that read no files have their own name alone.

    >>> import_name({"importer": "demo", "seed": 7})
    'demo'
    """
    importer = str(settings.get("importer") or "import")
    paths = [str(Path(str(settings[key])).resolve()) for key in WHERE if settings.get(key)]
    words = _slug(" ".join([importer, *(Path(path).stem for path in paths[:1])]))[:LONGEST].strip("-")
    return f"{words}-{short_hash([importer, paths])[:6]}" if paths else words


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "import"
