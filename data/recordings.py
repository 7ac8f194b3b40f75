"""Which tracks are one song: the same title and artist, whatever is added for a version, a guest or an edition.

A song stands in a catalogue as itself, remastered, live, as a radio edit and with the guest's name in the title or the
artist. Only what is written in brackets or behind a dash at the end of a title is looked at, and only words that name a
version: two movements of a symphony, or parts 1 and 2, stay two songs. A song falsely merged is lost to its listeners,
one listed twice is only a nuisance, so remixes, covers and instrumentals stay songs of their own.
"""

import re

import polars as pl

REST = r"[^()\[\]{}]+"
EDITION = (
    r"(?:\d{4}(?: [-–—])? )?(?:digital(?:ly)? )?remaster(?:ed)?(?: version| edition)?(?: \d{4})?"
    r"|remasteri[sz](?:ed|ado|é)(?: \d{4})?|\d+\w\w anniversary remaster(?:ed)?"
    r"|version remasteris[ée]e|remastered in (?:hd|4k)"
    r"|(?:original |remastered |explicit )?(?:album|lp|soundtrack) (?:version|edit)|original (?:version|mix)"
    r"|(?:full length|explicit|stereo)(?: version| mix| edit)?"
    r"|bonus(?: track)?(?: version)?|(?:super |expanded )?(?:deluxe|expanded)(?: edition| version)?"
    r"|(?:\d+\w\w )?anniversary (?:edition|version)|version|single"
    r"|official (?:music |lyrics? |hd )?(?:video|audio|clip|visuali[sz]er)|(?:lyrics?|music) video|(?:with )?lyrics"
    r"|audio|h[dq]|4k(?: upgrade)?"
    r'|(?:(?:love |main )?theme )?from (?:the \w+ )?["“][^"“”]+["”](?: (?:original )?soundtrack)?'
)
"What names another edition of the same recording."
RECORDING = (
    rf"(?:recorded )?live(?: version| session)?(?: \d{{4}})?|live (?:at|in|from|on) {REST}|live(?:,| [-–—]) {REST}"
    rf"|(?:en|in|dal|ao) (?:vivo|directo)(?: {REST})?|in concert"
    r"|(?:original |early |rough |home |studio )?demo(?: version| recording)?(?: take)?(?: \d{1,4})?"
    r"|radio (?:edit|version|mix)|single(?: edit| version| mix)"
    r"|(?:extended|short|long|clean|mono)(?: version| mix| edit)?"
    r"|(?:\d{4} )(?:stereo |mono )?mix|rough mix|edit(?:ed)?"
)
"What names another recording of the same song, or another cut of it."
ONE = rf"{EDITION}|{RECORDING}"
VERSION = rf"(?:{ONE})(?:(?: /|,| [-–—]) (?:{ONE}))*"
GUEST_WORD = r"(?:feat\.?|ft\.?|featuring) "
GUEST = rf"{GUEST_WORD}{REST}"
IN_BRACKETS = rf"\s*[(\[{{](?:{GUEST_WORD}|w/ ?){REST}(?:\([^()]*\))?[)\]}}]"
ADDITIONS = rf"(?:\s*[(\[{{](?:{VERSION})[)\]}}]|\s+[-–—]\s+(?:{VERSION}|{GUEST})|\s+{GUEST})+$"
"""What may stand behind a title: (Live at Leeds), [2011 Remaster], - Radio Edit, feat. Nina.

No title loses words in brackets that begin with "with": (with Nina) is a guest, (With or Without You) is not. Acoustic
and unplugged versions are other recordings."""


GUEST_OF_ARTIST = rf"\s*[(\[]?{GUEST}[)\]]?$"
ARTICLE_BEHIND = r"^(.+?)(?:, the| \(the\))$"


def song_keys(tracks: pl.DataFrame) -> pl.Series:
    """(N,) one text for all versions of a song; null where title or artist is unknown."""
    title = _plain(pl.col("title"))
    short = title.str.replace_all(IN_BRACKETS, "").str.replace(ADDITIONS, "").str.strip_chars()
    bare = pl.when(short == "").then(title).otherwise(short)
    return tracks.select(pl.concat_str(_lead(), pl.lit("\n"), bare).alias("song")).to_series()


def lead_artists(tracks: pl.DataFrame) -> pl.Series:
    """(N,) the artist without guests and without a leading "the", in small letters; null where unknown."""
    return tracks.select(_lead().alias("artist")).to_series()


def albums(tracks: pl.DataFrame) -> pl.Series:
    """(N,) one text for each album of a lead artist; null where either is unknown."""
    return tracks.select(pl.concat_str(_lead(), pl.lit("\n"), _plain(pl.col("album"))).alias("album")).to_series()


def credited(artist: str | None) -> list[str]:
    """The names an artist's text may be called by: itself, who leads it, and its guests.

    >>> credited("Twins, The feat. Nina & Ann")
    ['Twins, The feat. Nina & Ann', 'Twins, The', 'Nina & Ann', 'Nina', 'Ann', 'The Twins']
    """
    if artist is None or not artist.strip():
        return []
    names = [artist]
    guests = re.search(GUEST_OF_ARTIST, artist, re.IGNORECASE)
    if guests and guests.start():
        names.append(artist[: guests.start()])
        named = re.sub(GUEST_WORD, "", guests[0].strip().strip("()[]"), flags=re.IGNORECASE).strip()
        names += [artist[: guests.start()], named, *re.split(r"\s*(?:,|&|\band\b)\s*", named)]
    names += [re.sub(ARTICLE_BEHIND, r"The \1", name, flags=re.IGNORECASE) for name in names]
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def _lead() -> pl.Expr:
    artist = _plain(pl.col("artist"))
    lead = artist.str.replace(GUEST_OF_ARTIST, "").str.replace(ARTICLE_BEHIND, "the $1").str.replace(r"^the ", "")
    return pl.when(lead == "").then(artist).otherwise(lead)


def _plain(text: pl.Expr) -> pl.Expr:
    """One Unicode form, small letters, single blanks, one kind of apostrophe; null where nothing is left."""
    plain = text.str.normalize("NFKC").str.to_lowercase().str.replace_all("[’´`]", "'")
    plain = plain.str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(plain != "").then(plain)
