"""Texts as people type them: without case, accents and marks, one Unicode form, words apart."""

import re
import unicodedata

APART = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
"""Characters of scripts that set no blanks between words: each stands for itself."""
WORD = re.compile(r"[^\W_]+")
SIGNS = {"&": " and ", "’": "'", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe"}


def words_of(text: str) -> list[str]:
    """The words of a text in the form they are compared in.

    >>> words_of("Sigur Rós – Hoppípolla (Live)")
    ['sigur', 'ros', 'hoppipolla', 'live']
    >>> words_of("Don't Stop"), words_of("ＡＢＣ")
    (['dont', 'stop'], ['abc'])
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    for sign, plain in SIGNS.items():
        folded = folded.replace(sign, plain)
    bare = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    bare = bare.replace("'", "")
    return WORD.findall(APART.sub(r" \1 ", unicodedata.normalize("NFKC", bare)))


def plain(text: str | None) -> str:
    """The words of a text, a blank between them; empty for None."""
    return " ".join(words_of(text)) if text else ""
