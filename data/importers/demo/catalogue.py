"""Artists and tracks: who sounds how, what it is called, when it came out.

A sound is the sum of its genre's draw (a broad prior), its artist's (a style around the genre), its own, and, in the
sides that listeners care about, its scene's, the largest. Scenes cross the borders of genres and have no name. The text
tells the genre and the artist; what it says about the sound is one or two noisy words.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from data.importers.demo import words
from data.importers.demo.music import TASTE, Sound
from data.importers.demo.settings import DemoSettings
from data.tables import to_schema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GENRE_SPREAD, ARTIST_SPREAD, TRACK_SPREAD = 0.4, 0.5, 0.77
"Standard deviations of three parts of a sound; their squares sum to 1."
SCENE_SHARE = 0.7
"Share of the variance of a side of taste that comes from the scene instead; the three parts shrink to make room."
HOME_SHARE = 0.4
"Share of an artist's tracks that belong to the artist's home scene."
DEBUT_SHARE = 0.3
"Share of the new tracks whose artist has nothing older."


@dataclass(frozen=True)
class Catalogue:
    """N tracks as their makers know them; `table` is what everybody else may read."""

    table: pl.DataFrame
    "Tracks in contract form; `audio_path` is still null."
    sounds: Floats
    "(N, 10) rows of `Sound`, standard units."
    artist: Ints
    "(N,)"
    artists: list[str]
    scenes: Floats
    "(S, TASTE) places in the audible space of the leading sides where tracks gather, and tastes."
    genre: Ints
    "(N,) true genre, an index into `words.GENRES`."
    appeal: Floats
    "(N,) log-popularity that has nothing to do with taste."
    released: Ints
    "(N,) days since the history began, negative for what is older."
    seconds: Floats
    "(N,) rounded to the hundredth."

    def sound(self, track: int) -> Sound:
        """What can be heard in one track."""
        return Sound(*self.sounds[track].tolist())


def make_catalogue(settings: DemoSettings) -> Catalogue:
    """Draw artists, sounds, release days and text."""
    rng = settings.random("catalogue")
    n, sides = settings.tracks, len(Sound._fields)
    fame = rng.normal(0, 0.9, settings.artists)
    weights = np.exp(fame)
    tracks_of = 1 + rng.multinomial(n - settings.artists, weights / weights.sum())
    artist = rng.permutation(np.repeat(np.arange(settings.artists), tracks_of))

    genre_of = rng.choice(len(words.GENRES), settings.artists, p=_falling(len(words.GENRES), 0.5))
    wanders = rng.random(n) < 0.08
    genre = np.where(wanders, rng.integers(len(words.GENRES), size=n), genre_of[artist])
    prior = rng.normal(0, GENRE_SPREAD, (len(words.GENRES), sides))
    style = rng.normal(0, ARTIST_SPREAD, (settings.artists, sides))
    sounds = prior[genre] + style[artist] + rng.normal(0, TRACK_SPREAD, (n, sides))
    scenes = _make_scenes(min(settings.scenes, max(3, n // 15)), rng)
    home = rng.integers(len(scenes), size=settings.artists)
    scene = np.where(rng.random(n) < HOME_SHARE, home[artist], rng.integers(len(scenes), size=n))
    sounds[:, :TASTE] *= np.sqrt(1 - SCENE_SHARE)
    sounds[:, :TASTE] += np.sqrt(SCENE_SHARE) * scenes[scene]

    released = _release_days(artist, tracks_of, settings, rng)
    seconds = np.round(settings.min_seconds + (settings.max_seconds - settings.min_seconds) * rng.beta(1.4, 2.8, n), 2)
    names = words.artist_names(settings.artists, settings.random("names"))
    catalogue = Catalogue(
        table=pl.DataFrame(),
        sounds=np.clip(sounds, -2.5, 2.5),
        scenes=np.sqrt(SCENE_SHARE) * scenes,
        artist=artist,
        artists=names,
        genre=genre,
        appeal=0.25 * fame[artist] + rng.normal(0, 0.7, n),
        released=released,
        seconds=seconds,
    )
    return Catalogue(**{**vars(catalogue), "table": _write_text(catalogue, settings)})


def track_id(track: int) -> str:
    """Outside name of track 0, 1, ..."""
    return f"track-{track + 1:04d}"


def _falling(count: int, power: float) -> Floats:
    """Zipf probabilities, (count,)."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -power
    probabilities: Floats = weights / weights.sum()
    return probabilities


def _make_scenes(count: int, rng: np.random.Generator) -> Floats:
    """(count, TASTE) standard normal points, each the farthest from those before among a few drawn."""
    scenes = [rng.normal(0, 1, TASTE)]
    while len(scenes) < count:
        drawn = rng.normal(0, 1, (6, TASTE))
        scenes.append(drawn[np.linalg.norm(drawn[:, None] - np.stack(scenes), axis=2).min(1).argmax()])
    spread = np.stack(scenes)
    standard: Floats = (spread - spread.mean(0)) / spread.std(0)
    return standard


def _release_days(artist: Ints, tracks_of: Ints, settings: DemoSettings, rng: np.random.Generator) -> Ints:
    """Most tracks are older than the history; a quarter comes out during its first four fifths, the new ones after."""
    n = len(artist)
    new_count = round(settings.new_share * n)
    debut = np.zeros(settings.artists, bool)
    for candidate in rng.permutation(settings.artists):
        if tracks_of[candidate] <= 6 and tracks_of[debut].sum() + tracks_of[candidate] <= DEBUT_SHARE * new_count:
            debut[candidate] = True
    others = rng.permutation(np.flatnonzero(~debut[artist]))
    new = np.concatenate([np.flatnonzero(debut[artist]), others])[:new_count]
    new = rng.permutation(new)
    recent = others[len(others) - round(0.25 * n) :]

    released = -1 - np.floor(rng.exponential(900, n)).astype(np.int64)
    released[recent] = rng.integers(0, settings.day_at(0.78), len(recent))
    for tracks, begin, end in ((new[::2], 0.8, 0.89), (new[1::2], 0.9, 0.97)):
        released[tracks] = rng.integers(settings.day_at(begin), settings.day_at(end) + 1, len(tracks))
    return released


def _write_text(catalogue: Catalogue, settings: DemoSettings) -> pl.DataFrame:
    """Titles, albums, genres, tags, languages and sentences: with gaps, synonyms and mistakes."""
    names = list(words.GENRES)
    home = settings.random("language").choice(len(words.LANGUAGES), settings.artists, p=[0.25, 0.4, 0.15, 0.1, 0.1])
    albums = _albums(catalogue, settings)
    rows = []
    for track in range(len(catalogue.artist)):
        rng = settings.random("text", track)
        artist, sound = int(catalogue.artist[track]), catalogue.sound(track)
        language = words.LANGUAGES[home[artist]]
        genre = names[int(rng.integers(len(names))) if rng.random() < 0.04 else catalogue.genre[track]]
        rows.append(
            {
                "track_id": track_id(track),
                "title": words.title(language, sound, rng),
                "artist": catalogue.artists[artist] if rng.random() > 0.01 else None,
                "album": albums[track],
                "genres": words.genre_words(genre, rng) if rng.random() > 0.1 else None,
                "tags": words.tags(sound, rng) if rng.random() > 0.2 else None,
                "language": language if rng.random() > 0.15 else None,
                "description": words.description(genre, sound, rng) if rng.random() > 0.5 else None,
                "release_date": settings.start + timedelta(days=int(catalogue.released[track])),
                "duration_s": catalogue.seconds[track],
            }
        )
    schema = {"genres": pl.List(pl.String), "tags": pl.List(pl.String)}
    return to_schema("tracks", pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None))


def _albums(catalogue: Catalogue, settings: DemoSettings) -> list[str | None]:
    """An artist's tracks in order of release, a few to an album; one in six is a single and has none."""
    rng = settings.random("albums")
    albums: list[str | None] = [None] * len(catalogue.artist)
    order = np.lexsort((catalogue.released, catalogue.artist))
    current, room, before = "", 0, -1
    for track in order.tolist():
        if room == 0 or catalogue.artist[track] != before:
            current, room = words.title("en", catalogue.sound(track), rng), int(rng.integers(4, 10))
        before, room = int(catalogue.artist[track]), room - 1
        albums[track] = current if rng.random() > 1 / 6 else None
    return albums
