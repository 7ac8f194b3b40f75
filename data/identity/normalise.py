"""Texts as they are compared: one spelling for what people write in several ways, and what tells songs apart kept.

A title loses what names another edition of the same recording ("2011 Remaster", "Official Video") and its guests; what
names another recording ("Live", "Acoustic", "Skrillex Remix") stays in it, and so does every number, "Part II" as
"part 2". The words are those of `data/recordings.py`.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from anyascii import anyascii

from data.identity.vocabulary import COUNTED, CUTS, FILLERS, NUMBER_SIGNS, RECORDING_WORDS, SPELLED
from data.recordings import ARTICLE_BEHIND, EDITION, GUEST, GUEST_WORD, IN_BRACKETS

LONGEST = 300
"Characters of a title that are looked at; symphonies with all their movements have some 150."
IS_EDITION = re.compile(rf"(?:{EDITION})|\d{{4}}")
GUESTS = re.compile(IN_BRACKETS)
GUEST_BEHIND = re.compile(rf"\s+(?:[-–—]\s+)?{GUEST}$")
WITH = re.compile(r"\s*[(\[]with ([^()\[\]]+)[)\]]")
SOURCE = re.compile(r'\bfrom (?:the \w+ )?["“]([^"“”]+)["”]')
BRACKET = re.compile(r"\s*[(\[{]([^()\[\]{}]*)[)\]}]\s*$")
DASH = re.compile(r"\s+[-–—]\s+(?=[^()\[\]{}]*$)(?!.*\s[-–—]\s)")
"The last dash between blanks that no bracket follows."
BEFORE_DASH = re.compile(r" [-–—] ")
FILE_ENDING = re.compile(r"\.(?:mp3|flac|ogg|opus|m4a|wav|wma)$")
TRACK_NUMBER = re.compile(r"^(?:0\d\s*[-.)]\s*|\d\d\s+-\s+|\d\d\.\s+)(?=\S)")
CHANNEL = re.compile(r"(?: - topic|vevo| official)$")
JOINS = re.compile(
    rf"\s*(?:;|,|/| & | \+ | x | × | vs\.? | and | with | {GUEST_WORD}|[(\[]{GUEST_WORD})\s*|\s+(?:und|et|y|e)\s+"
)
"What stands between the names of artists; a slash alone joins as well."
NOBODY = re.compile(
    r"\W*(?:various(?: artists?)?|v\.?\s?a\.?|unknown(?: artist)?|<unknown>|n/?a|none|verschiedene.*)\W*"
)

ROMAN = re.compile(r"x{0,3}(?:ix|iv|v?i{0,3})")
ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}
WORD = re.compile(r"[^\W_]+")
NUMERAL_ENDS = re.compile(r"\b([ivx]+)(?=[.:)])")
"A numeral that something is numbered with: I. Allegro, II: The Return."
MAJOR = re.compile(r"\b(in [a-h](?:[ -](?:flat|sharp))?) major\b")
"In A is in A major."
BEFORE_COLON = re.compile(r"^[^\W\d]+: (?=.{15})")
"One word before the title proper: Beethoven: Symphony No. 7."
PLAIN = re.compile(r"(?!.*\b(?:feat|ft|featuring)\b)[\w ']*[^\W_][\w ']*")
"A title without brackets, dashes, colons and guests."
ARTICLE = re.compile(ARTICLE_BEHIND)
S_SIGN = re.compile(r"(?<=[a-z])\$(?=[a-z])|(?<![^ ])\$(?=[a-z])")
I_SIGN = re.compile(r"(?<=[a-z])!(?=[a-z])")
AND = re.compile(r"\s(?:'n'?|n')\s|\s?&\s?|\s\+\s")
ING = re.compile(r"\b(\w{2,})in'(?=\W|$)")
APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
QUOTES = re.compile("[’‘´`ʼ]")
ACCENTS = re.compile("[\u0300-\u036f]")
THE = re.compile(rf"^{GUEST_WORD}|^the ")
UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue"}
NOT_LATIN = re.compile(r"[^\W\d_a-z]")


class Title(NamedTuple):
    """A title as it is compared."""

    keys: list[str]
    "Its letters without blanks; a title in two languages, or with ü, has several."
    words: list[str]
    guests: str
    "Names of guests, as an artist's text."
    short: str | None
    "The key without a subtitle in brackets or a cut's name; null where there is none."
    source: str | None
    """The film of (From "Titanic"): the main titles of two films are two songs."""
    artist: str | None
    """Whom "Artist - Title" names where the artist is nobody."""


def fold(text: str) -> str:
    """Small letters without accents, one kind of quote and blank; other scripts keep their letters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", QUOTES.sub("'", unicodedata.normalize("NFKC", text).casefold()))
        text = unicodedata.normalize("NFC", ACCENTS.sub("", text))
        text = "".join(char if char > "\u024f" else anyascii(char) for char in text)
    return " ".join(text.lower().replace("`", "'").split())


def latin(text: str) -> str:
    """The same in Latin letters, as far as a table of letters can tell."""
    return text if text.isascii() else anyascii(text).lower()


def is_latin(text: str) -> bool:
    """Whether a folded text has no letters of another script."""
    return NOT_LATIN.search(text) is None


@lru_cache(100_000)
def names_of(artist: str) -> tuple[str, ...]:
    """Letters of the names in an artist's text, in Latin script, the leading artist first; none where it is nobody.

    >>> names_of("Twins, The feat. Nina & Bo")
    ('twins', 'nina', 'bo')
    """
    text = CHANNEL.sub("", fold(artist))
    if not text or NOBODY.fullmatch(text):
        return ()
    behind = GUEST_BEHIND.search(text)
    text, guests = (text[: behind.start()], " & " + behind[0].strip(" -–—")) if behind else (text, "")
    found = []
    for part in JOINS.split(ARTICLE.sub(r"the \1", text) + guests):
        outer = BRACKET.sub("", part)
        found += [outer or part]
        if outer and outer != part and is_latin(outer) != is_latin(part[len(outer) :]):
            found += [part[len(outer) :]]
    keys = [joined(THE.sub("", part.strip())) for part in found]
    return tuple(dict.fromkeys(key for key in keys if key))


@lru_cache(100_000)
def whole_name(artist: str) -> str:
    """Letters of an artist's text without "and" and "the", however many names are in it; empty where it is nobody."""
    text = CHANNEL.sub("", fold(artist))
    return "" if NOBODY.fullmatch(text) else joined(" ".join(w for w in _words(text) if w not in ("and", "the", "n")))


def joined(text: str) -> str:
    """Latin letters and digits of a folded text, ! and $ between letters as letters; the text itself if it has none."""
    if not text.isalnum():
        text = S_SIGN.sub("s", I_SIGN.sub("i", text))
    return "".join(WORD.findall(latin(text))) or text


def read_title(title: str, artist: str) -> Title:
    """What a title says, of which the artist's text is known or empty."""
    text = _tidy(title)
    if PLAIN.fullmatch(text):  # nine of ten
        words = title_words(text)
        return Title([_key(words), *_german(title)], words, "", None, None, None)
    text, named = _without_artist(text, artist)
    guests = [guest.strip(" ()[]{}") for guest in GUESTS.findall(text)]
    text = GUESTS.sub("", text)
    guests += [guest[1].strip() for guest in WITH.finditer(text)]
    if behind := GUEST_BEHIND.search(text):
        guests.append(behind[0].strip(" -–—"))
        text = text[: behind.start()]
    parts = _parts(text)
    if not title_words(parts[0]):  # a title that is nothing but an addition
        parts = [text]
    words = title_words(" ".join(parts))
    keys = [_key(words) or text, *(_key(title_words(half)) for half in _halves(parts)), *_german(title)]
    film = SOURCE.search(text)
    source, short = film and joined(film[1]), _short(parts, keys[0])
    return Title(list(dict.fromkeys(filter(None, keys))), words, " & ".join(guests), short, source, named)


def title_words(text: str) -> list[str]:
    """Words of a folded title with numbers as digits, without a leading article.

    >>> title_words("the wall, pt. ii"), title_words("mambo number 5")
    (['wall', 'part', '2'], ['mambo', '5'])
    """
    ended: set[int] = set()
    if not text.replace(" ", "").isalnum():
        text = ARTICLE.sub(r"the \1", S_SIGN.sub("s", I_SIGN.sub("i", text)))
        text = AND.sub(" and ", ING.sub(r"\1ing", APOSTROPHE.sub("", text)))
        ended = {found.start() for found in NUMERAL_ENDS.finditer(text)}
    text = MAJOR.sub(r"\1", text) if "major" in text else text
    found = list(WORD.finditer(text))
    written = [match[0] for match in found]
    words: list[str] = []
    counting = False
    for at, word in enumerate(written):
        follows = written[at + 1] if at + 1 < len(written) else ""
        if word in NUMBER_SIGNS and (follows.isdigit() or _roman(follows)):
            counting = True
            continue
        numbered = counting or found[at].start() in ended or (not follows and at > 0 and len(word) > 1)
        value = (_roman(word) if numbered else None) or (SPELLED.get(word) if counting else None)
        if value is None and word.isdecimal():
            value = str(int(word))
        if word == "n" and len(follows) > 1 and at > 0 and len(written[at - 1]) > 1:
            word = "and"  # rock n roll, but T.N.T.
        words.append(value or COUNTED.get(word, word))
        counting = word in COUNTED or (counting and value is not None)
    if len(words) > 1 and words[0] in ("the", "a", "an"):
        del words[0]
    kept = [word for word in words if word not in FILLERS]
    return ["mix" if word == "remix" and len(kept) > 1 else word for word in kept] or words


def guard(words: list[str]) -> list[str]:
    """Words that two writings of one title must have in common: numbers and the names of recordings."""
    return sorted(word for word in words if word[0].isdigit() or word in RECORDING_WORDS)


def _words(text: str) -> list[str]:
    return WORD.findall(re.sub(r"\s*[&+]\s*", " and ", text))


def _tidy_case(title: str) -> str:
    text = title.strip()[:LONGEST]
    return text.replace("_", " ") if "_" in text and " " not in text else text


def _tidy(title: str) -> str:
    text = FILE_ENDING.sub("", fold(_tidy_case(title)))
    return TRACK_NUMBER.sub("", text) or text


def _without_artist(text: str, artist: str) -> tuple[str, str | None]:
    """The title without its own artist before it, and the artist named so where nobody else is."""
    before, separator, rest = BEFORE_DASH.sub(" - ", text, count=1).partition(" - ")
    if not separator:
        before, separator, rest = text.partition(": ")
        if not separator or whole_name(before) != whole_name(artist):
            return text, None
    if not rest.strip() or _is_addition(rest):
        return text, None
    names = names_of(artist)
    if not names and separator == " - ":
        return rest, before
    whole = whole_name(before)
    return (rest if names and whole and whole in (whole_name(artist), names[0]) else text), None


def _is_addition(text: str) -> bool:
    return bool(IS_EDITION.fullmatch(text)) or any(word in RECORDING_WORDS for word in WORD.findall(text))


def _parts(text: str) -> list[str]:
    """The title itself, then what stands in brackets or behind a dash after it and is no other edition's name."""
    behind: list[str] = []
    while text:
        found = BRACKET.search(text) or DASH.search(text)
        if found is None:
            break
        content = found[1] if found.re is BRACKET else text[found.end() :]
        kept = [part for part in re.split(r"\s*[/;,]\s+|\s*/\s*|\s+[-–—]\s+", content) if not _is_edition(part)]
        if found.re is DASH and len(kept) and not _is_addition(content):
            break
        if not text[: found.start()].strip():
            break
        behind[:0] = [" ".join(kept)] if kept else []
        text = text[: found.start()]
    return [text.strip(), *behind]


def _is_edition(part: str) -> bool:
    return IS_EDITION.fullmatch(part.strip().strip("!.")) is not None


def _halves(parts: list[str]) -> Iterator[str]:
    """The same title in two scripts: 봄날 (Spring Day), or with a sign of equality between them."""
    if len(parts) > 1 and is_latin(parts[0]) != is_latin(parts[1]) and not guard(title_words(parts[1])):
        yield from (" ".join([half, *parts[2:]]) for half in parts[:2])
    if " = " in parts[0]:
        yield from (" ".join([half, *parts[1:]]) for half in parts[0].split(" = "))


def _short(parts: list[str], key: str) -> str | None:
    """Without a subtitle in brackets or behind a dash, or the name of a cut, that lengths can confirm."""
    kept = [BEFORE_COLON.sub("", parts[0])]
    for part in parts[1:]:
        words = title_words(part)
        named = guard(words)
        cut = bool(named) and set(words) <= CUTS
        if not cut and (named or COUNTED.keys() & set(words)):
            kept.append(part)
    dash = DASH.search(kept[0]) if len(kept) == 1 else None
    if dash and not guard(title_words(kept[0][dash.end() :])) and not guard(title_words(kept[0])):
        kept = [kept[0][: dash.start()]]
    short = _key(title_words(" ".join(kept)))
    return short if short and short != key else None


def _key(words: list[str]) -> str:
    """Words without blanks, but numbers stay apart: 1 1 is not 11."""
    key = ""
    for word in words:
        key += f"_{word}" if key and key[-1].isdigit() and word[0].isdigit() else word
    return key


def _roman(word: str) -> str | None:
    if not word or not ROMAN.fullmatch(word):
        return None
    values = [ROMAN_VALUES[letter] for letter in word]
    return str(sum(-v if any(v < later for later in values[at + 1 :]) else v for at, v in enumerate(values)))


def _german(title: str) -> list[str]:
    """The key with ue for ü, as a title without umlauts may have it."""
    lower = title[:LONGEST].lower()
    if lower.isascii() or not UMLAUTS.keys() & set(lower):
        return []
    written = fold("".join(UMLAUTS.get(char, char) for char in lower))
    return [_key(title_words(" ".join(_parts(written))))]
