"""Text that was written in one encoding and read in another, put right where it is plain what happened."""

import re
from contextlib import suppress

OTHERS = ("cp1251", "euc-kr", "gb2312", "shift_jis")
"Encodings of texts that stand in frames for Latin-1, by how surely they are told from it."
SCRIPTS = {
    "cp1251": re.compile(
        r"(?=.*[аеёиоуыэюяАЕЁИОУЫЭЮЯ])(?:(?:[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+|[A-Za-z]+)(?![А-яЁёA-Za-z])|[^\w]|[\d_])+"
    ),
    "euc-kr": re.compile(r"(?=.*[\uac00-\ud7a3]{2})[\uac00-\ud7a3\u3000-\u303f\s\d_!-~]+"),
    "gb2312": re.compile(r"(?=.*[\u4e00-\u9fff]{2})[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\s\d_!-~]+"),
    "shift_jis": re.compile(r"(?=.*[\u3040-\u30ff\u4e00-\u9fff]{2})[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef\s\d_!-~]+"),
}
FEWEST = 4
"Letters that it takes to tell."
FOREIGN = 0.5
"Share of letters beyond ASCII from which on no text in Latin-1 is: even in Icelandic it is a fifth."


def repair(text: str) -> str:
    """UTF-8 that was read as Latin-1 or Windows-1252, put right; any other text as it is.

    >>> repair("DÃ©jÃ\\xa0 vu"), repair("Donâ€™t"), repair("Déjà vu")
    ('Déjà vu', 'Don’t', 'Déjà vu')
    """
    if text.isascii():
        return text
    raw = _bytes(text)
    if raw is None:
        return text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return text


def repair_bytes(text: str) -> str:
    """A text whose bytes were taken for Latin-1, and may be of any encoding; empty where they cannot be told.

    >>> repair_bytes("Ìîðå"), repair_bytes("Zoë")
    ('Море', 'Zoë')
    """
    repaired = repair(text)
    if repaired != text or text.isascii():
        return repaired
    letters = [letter for letter in text if letter.isalpha() or ord(letter) > 127]
    foreign = sum(ord(letter) > 127 for letter in letters)
    sure = re.search(r"[\x80-\x9f]", text)  # no text has these controls
    if not sure and (len(letters) < FEWEST or foreign < FOREIGN * len(letters)):
        return text
    raw = _bytes(text)
    for encoding in OTHERS if raw is not None else ():
        try:
            found = (raw or b"").decode(encoding)
        except UnicodeDecodeError:
            continue
        if SCRIPTS[encoding].fullmatch(found):
            return found
    return ""


def _bytes(text: str) -> bytes | None:
    """What was read as Latin-1, or as Windows-1252 with the holes that it has; None where it was neither."""
    with suppress(UnicodeEncodeError):
        return text.encode("latin-1")
    raw = bytearray()
    for letter in text:
        try:
            raw += letter.encode("cp1252")
        except UnicodeEncodeError:
            if ord(letter) > 255:
                return None
            raw.append(ord(letter))
    return bytes(raw)
