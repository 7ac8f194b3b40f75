"""Codes of recordings as people and programs write them: MusicBrainz's ids and the ISRC."""

import re

import polars as pl

UUID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
ISRC = r"([A-Z]{2}[A-Z0-9]{3}[0-9]{7})"
"Country, registrant, year and number; the hyphens between them are often left out."


def recording_id(text: str) -> str | None:
    """The first MusicBrainz id in a text, alone or in an address."""
    found = re.search(UUID, text.lower())
    return found[1] if found else None


def isrc(text: str) -> str | None:
    """The first ISRC in a text, without hyphens and blanks.

    >>> isrc("ISRC GB-AYE-06-01498; GBAYE0601499")
    'GBAYE0601498'
    """
    found = re.search(rf"^(?:ISRC)?{ISRC}", re.sub(r"[^A-Z0-9]", "", text.upper()))
    return found[1] if found else None


def recording_ids(texts: pl.Expr) -> pl.Expr:
    """`recording_id` of a column."""
    return texts.str.to_lowercase().str.extract(UUID)


def isrcs(texts: pl.Expr) -> pl.Expr:
    """`isrc` of a column."""
    return texts.str.to_uppercase().str.replace_all(r"[^A-Z0-9]", "").str.extract(rf"^(?:ISRC)?{ISRC}")
