"""Why a song is recommended, in words that fit the question."""

from typing import Literal

from data.dataset import Dataset, song_name
from recsys.ranking.explain import Explanation

Question = Literal["listener", "songs"]
"""For whom: a listener with a history, or songs alone (a playlist, a session), without a listener."""

REASONS: dict[str, str] = {
    "htcl-stage1": "sounds and reads like {song}",
    "htcl-stage2": "sounds and reads like {song}",
    "features": "sounds like {song}",
    "item-knn": "played together with {song}",
    "rp3beta": "played together with {song}",
    "ease": "played together with {song}",
    "vsknn": "in the same sessions as {song}",
    "vstan": "in the same sessions as {song}",
    "sequential-rules": "often follows {song}",
    "markov": "often follows {song}",
    "same-artist": "same artist as {song}",
    "repeat": "you play it often",
    "ials": "listeners like you play it",
    "bpr": "listeners like you play it",
    "lmf": "listeners like you play it",
    "sasrec": "listeners like you play it next",
    "popularity": "popular",
    "random": "drawn at random",
}
FOR_SONGS: dict[str, str] = {
    "repeat": "it is among these songs",
    "ials": "listeners of these songs play it",
    "bpr": "listeners of these songs play it",
    "lmf": "listeners of these songs play it",
    "sasrec": "listeners of these songs play it next",
}
"Where the question is about songs and no listener."


def reason_in_words(dataset: Dataset, track: int, explanation: Explanation, question: Question) -> str:
    """One line about the source with the largest part, or the next where that one cannot name a played song."""
    sentences = REASONS | (FOR_SONGS if question == "songs" else {})
    named = explanation.because is not None and explanation.because != track
    for source in explanation.sources:
        sentence = sentences[source]
        if "{song}" not in sentence:
            if not named or explanation.because is None:
                return sentence
            return f"{sentence}; near {song_name(dataset, explanation.because)}"
        if source == explanation.by and named and explanation.because is not None:
            return sentence.format(song=song_name(dataset, explanation.because))
        if source == explanation.by:
            return sentences["repeat"] if question == "listener" else "it is among these songs"
    return "matches the title" if explanation.sources else ""
