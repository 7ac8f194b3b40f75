"""Codes of recordings are read however they are written."""

import doctest

import polars as pl
import pytest

from data.identity import codes, normalise
from data.identity.codes import isrc, isrcs, recording_id, recording_ids

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GBAYE0601498", "GBAYE0601498"),
        (" gb-aye-06-01498 ", "GBAYE0601498"),
        ("ISRC GBAYE0601498", "GBAYE0601498"),
        ("USS1Z9900001; GBAYE0601498", "USS1Z9900001"),
        ("GBAYE06014", None),
        ("1BAYE0601498", None),
        ("", None),
    ],
)
def test_isrc(text: str, code: str | None) -> None:
    assert isrc(text) == code
    assert pl.DataFrame({"text": [text]}).select(isrcs(pl.col("text"))).item() == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (MBID, MBID),
        (MBID.upper(), MBID),
        (f"https://musicbrainz.org/recording/{MBID}?x", MBID),
        (f"{MBID}/{MBID.replace('8', '9')}", MBID),
        ("unknown", None),
        (MBID[:-1], None),
    ],
)
def test_recording_id(text: str, code: str | None) -> None:
    assert recording_id(text) == code
    assert pl.DataFrame({"text": [text]}).select(recording_ids(pl.col("text"))).item() == code


@pytest.mark.parametrize("module", [codes, normalise])
def test_the_examples_in_the_docs_hold(module: object) -> None:
    tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried.attempted
    assert not tried.failed
