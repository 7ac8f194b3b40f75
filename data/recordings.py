"""Which tracks are one song: the same title and artist, whatever is added for a version, a guest or an edition.

A song stands in a catalogue as itself, remastered, live, as a radio edit and with the guest's name in the title or the
artist. Only what is written in brackets or behind a dash at the end of a title is looked at, and only words that name a
version: two movements of a symphony, or parts 1 and 2, stay two songs. A song falsely merged is lost to its listeners,
one listed twice is only a nuisance, so remixes, covers and instrumentals stay songs of their own.
"""

import polars as pl

REST = r"[^()\[\]]+"
VERSION = (
    r"(?:\d{4} )?(?:digital(?:ly)? )?remaster(?:ed)?(?: version| edition)?(?: \d{4})?"
    r"|remasteri[sz](?:ed|ado|é)(?: \d{4})?"
    rf"|(?:recorded )?live(?: version| session)?(?: \d{{4}})?|live (?:at|in|from|on) {REST}"
    rf"|(?:en|in|dal|ao) (?:vivo|directo)(?: {REST})?|in concert"
    r"|(?:original |early |rough )?demo(?: version)?(?: \d{4})?"
    r"|radio (?:edit|version|mix)|single (?:edit|version|mix)|album (?:version|edit)|original (?:version|mix)"
    r"|(?:extended|full length|short|long|explicit|clean|mono|stereo)(?: version| mix| edit)?"
    r"|bonus(?: track)?|deluxe(?: edition| version)?|(?:\d+\w\w )?anniversary (?:edition|version)|version|edit"
)
GUEST = rf"(?:feat\.?|ft\.?|featuring) {REST}"
ADDITIONS = rf"(?:\s*[(\[](?:{VERSION}|{GUEST}|with {REST})[)\]]|\s+[-–—]\s+(?:{VERSION}|{GUEST})|\s+{GUEST})+$"
"""What may stand behind a title: (Live at Leeds), [2011 Remaster], - Radio Edit, feat. Nina."""


def song_keys(tracks: pl.DataFrame) -> pl.Series:
    """(N,) one text for all versions of a song; null where title or artist is unknown."""
    title, artist = (_plain(pl.col(name)) for name in ("title", "artist"))
    short = title.str.replace(ADDITIONS, "")
    bare = pl.when(short == "").then(title).otherwise(short)
    lead = (
        artist.str.replace(rf"\s*[(\[]?{GUEST}[)\]]?$", "")
        .str.replace(r"^(.+), the$", "the $1")
        .str.replace(r"^the ", "")
    )
    named = pl.when(lead == "").then(artist).otherwise(lead)
    return tracks.select(pl.concat_str(named, pl.lit("\n"), bare).alias("song")).to_series()


def _plain(text: pl.Expr) -> pl.Expr:
    """One Unicode form, small letters, single blanks, one kind of apostrophe; null where nothing is left."""
    plain = text.str.normalize("NFKC").str.to_lowercase().str.replace_all("[’´`]", "'")
    plain = plain.str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(plain != "").then(plain)
