"""The words of the demo catalogue: invented names, titles, moods, and sentences.

Moods are said of what can be heard, but of one or two of its sides, in one of many words, and now and then wrongly:
reading is a poor substitute for listening, here as elsewhere.
"""

from collections.abc import Sequence

import numpy as np

from data.importers.demo.music import Sound

Rng = np.random.Generator

GENRES: dict[str, tuple[str, ...]] = {
    "electronic": ("house", "synthwave", "techno"),
    "rock": ("indie rock", "garage rock"),
    "pop": ("synth pop", "dream pop"),
    "hip-hop": ("boom bap", "trap"),
    "jazz": ("cool jazz", "nu jazz"),
    "folk": ("indie folk", "singer-songwriter"),
    "ambient": ("drone", "downtempo"),
    "soul": ("neo soul", "r&b"),
    "latin": ("cumbia", "bossa nova"),
}
"Each genre and what else it may be called."

MOODS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pace": (("slow", "laid-back", "unhurried"), ("fast", "driving", "upbeat")),
    "brightness": (("warm", "mellow", "muted"), ("bright", "shiny", "sharp")),
    "sustain": (("plucky", "crisp", "bouncy"), ("dreamy", "floating", "flowing")),
    "drums": (("calm", "quiet", "still"), ("punchy", "rhythmic", "danceable")),
    "register": (("deep", "low", "nocturnal"), ("light", "airy", "high")),
    "bass": (("thin", "delicate", "fragile"), ("heavy", "bassy", "thick")),
    "haze": (("clean", "clear", "polished"), ("lo-fi", "dusty", "hazy")),
    "mode": (("sad", "melancholic", "dark"), ("happy", "sunny", "hopeful")),
}
"For each side of a sound: words for little of it, words for much of it."

ACTIVITIES = ("focus", "running", "cooking", "late night", "road trip", "studying", "coffee", "rain", "party", "sunday")
VAGUE = (
    "my mix",
    "stuff",
    "new playlist",
    "favourites",
    "misc",
    "songs i like",
    "untitled",
    "on repeat",
    "2025",
    "vibes",
)
LANGUAGES = ("instrumental", "en", "es", "fr", "de")

_TITLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "en": (
        (
            "silver",
            "hollow",
            "distant",
            "paper",
            "northern",
            "broken",
            "golden",
            "secret",
            "electric",
            "salt",
            "second",
        ),
        ("river", "window", "harbour", "signal", "garden", "winter", "mirror", "engine", "letter", "shadow", "summer"),
    ),
    "es": (
        ("la noche de", "el camino de", "cerca de", "sin", "bajo", "otra vez", "la casa de"),
        ("sal", "la luna", "papel", "enero", "la lluvia", "piedra", "cristal", "el mar"),
    ),
    "fr": (
        ("la nuit de", "un jour sans", "loin de", "sous", "le bruit de", "après"),
        ("la pluie", "la mer", "novembre", "la gare", "la neige", "minuit", "la ville"),
    ),
    "de": (
        ("kein", "letzter", "stiller", "blauer", "nächster", "langer", "ferner"),
        ("sommer", "morgen", "garten", "wald", "schnee", "zug", "regen", "fluss"),
    ),
}
_SYLLABLES = ("ka", "lo", "mi", "ren", "sol", "ta", "ve", "nor", "ix", "ara", "bel", "dun", "fey", "gra", "hol", "jun")
_SURNAMES = ("Quintet", "Collective", "Sound", "& Sons", "Orchestra", "Trio", "Club", "Machine")
_INSTRUMENTS = (("piano", "guitar", "harp", "kalimba"), ("strings", "organ", "synth pads", "accordion"))
"For plucked and for held notes."


HONEST = 0.85
"Share of the mood words that are deserved."


def artist_names(count: int, rng: Rng) -> list[str]:
    """`count` different names."""
    names: dict[str, None] = {}
    while len(names) < count:
        word = "".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4)))).capitalize()
        second = "".join(rng.choice(_SYLLABLES, 2)).capitalize()
        form = int(rng.integers(4))
        names[(word, f"The {word}s", f"{word} {second}", f"{word} {rng.choice(_SURNAMES)}")[form]] = None
    return list(names)


def mood(sound: Sound, rng: Rng, honest: float) -> str:
    """A word for a side of the sound that stands out; with probability 1 - `honest` any mood word at all."""
    if rng.random() < honest:
        weight = np.square([getattr(sound, side) for side in MOODS])
        side = str(rng.choice(list(MOODS), p=weight / weight.sum()))
        words = MOODS[side][getattr(sound, side) > 0]
    else:
        words = MOODS[str(rng.choice(list(MOODS)))][int(rng.integers(2))]
    return str(rng.choice(words))


def title(language: str, sound: Sound, rng: Rng) -> str:
    """Two words or so, in the language of the song; now and then with a mood in it."""
    first, second = _TITLES.get(language, _TITLES["en"])
    head = (
        mood(sound, rng, HONEST)
        if language in ("en", "instrumental") and rng.random() < 0.3
        else str(rng.choice(first))
    )
    text = f"{head} {rng.choice(second)}"
    if rng.random() < 0.12:
        text += f" {rng.choice(('II', 'III', '(live)', '(reprise)', 'No. 4', '(demo)'))}"
    return text[0].upper() + text[1:]


def genre_words(genre: str, rng: Rng) -> list[str]:
    """The genre, what else it is called, or both."""
    narrow = str(rng.choice(GENRES[genre]))
    return [[genre], [narrow], [genre, narrow]][int(rng.choice(3, p=[0.55, 0.15, 0.3]))]


def tags(sound: Sound, rng: Rng) -> list[str]:
    """One to three mood words, most of them deserved."""
    return list(dict.fromkeys(mood(sound, rng, HONEST) for _ in range(int(rng.integers(1, 4)))))


def description(genre: str, sound: Sound, rng: Rng) -> str:
    """A sentence: a genre, a mood, an instrument."""
    held = (sound.sustain > 0) == (rng.random() < 0.75)
    instrument, word = rng.choice(_INSTRUMENTS[held]), mood(sound, rng, HONEST)
    article = "An" if word[0] in "aeiou" else "A"
    return str(
        rng.choice(
            (
                f"{article} {word} {genre} piece built around {instrument}.",
                f"{article} {word} {genre} song with {instrument}.",
                f"{genre.capitalize()} with {instrument}, {word} from beginning to end.",
            )
        )
    )


def playlist_title(sound: Sound, genre: str, artist: str | None, rng: Rng) -> str:
    """What a listener calls a playlist: moods, a genre, an activity, an artist, or nothing that says anything."""
    words: Sequence[str]
    form = int(rng.choice(6, p=[0.24, 0.2, 0.16, 0.12, 0.08, 0.2]))
    if artist is not None and rng.random() < 0.7:
        words = [str(rng.choice(("best of", "only", "more", ""))), artist]
    elif form == 0:
        words = [mood(sound, rng, 0.75), genre]
    elif form == 1:
        words = [mood(sound, rng, 0.75), str(rng.choice(ACTIVITIES))]
    elif form == 2:
        words = [mood(sound, rng, 0.75), mood(sound, rng, 0.75)]
    elif form == 3:
        words = [str(rng.choice(ACTIVITIES)), str(rng.choice(("", "mix", "songs")))]
    elif form == 4:
        words = [genre, str(rng.choice(("", "mix", "classics")))]
    else:
        words = [str(rng.choice(VAGUE))]
    text = " ".join(dict.fromkeys(filter(None, words)))
    return text.title() if rng.random() < 0.3 else text
