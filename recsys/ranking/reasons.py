"""Why a song is recommended, in words that fit the question."""

from typing import Literal, get_args

from data.dataset import Dataset, song_name
from recsys.candidates import REASONS
from recsys.ranking.explain import Explanation
from recsys.ranking.shared import what_is_shared

Question = Literal["listener", "songs"]
"""For whom: a listener with a history, or songs alone (a playlist, a session), without a listener."""

SENTENCES: dict[Question, dict[str, str]] = {
    question: {name: reason.words(about_songs=question == "songs") for name, reason in REASONS.items()}
    for question in get_args(Question)
}


def reason_in_words(
    dataset: Dataset, track: int, explanation: Explanation, question: Question, titled: bool = False
) -> str:
    """One line: the reason of the source with the largest part, the played song behind the recommendation, and what
    the two share.

    A source that compares with played songs and can name none is passed over. Where another source than the one with
    the largest part names the song, its own reason goes with it. titled: whether a playlist's title was given.
    """
    sentences = SENTENCES[question]
    for source in explanation.sources:
        if "{song}" not in sentences[source]:
            named = _named(dataset, track, explanation, sentences)
            return f"{sentences[source]}; {named}" if named else sentences[source]
        if source == explanation.by:
            return _named(dataset, track, explanation, sentences) or sentences["repeat"]
    if titled:
        return "fits the title"
    return "fits what you play" if question == "listener" else "fits these songs"


def _named(dataset: Dataset, track: int, explanation: Explanation, sentences: dict[str, str]) -> str:
    """The reason of the source that names a played song; empty where none does, or the song is the track itself."""
    if explanation.by is None or explanation.because is None or explanation.because == track:
        return ""
    if "{song}" not in sentences[explanation.by]:
        return ""
    said = sentences[explanation.by].format(song=song_name(dataset, explanation.because))
    both = [each for each in what_is_shared(dataset, track, explanation.because) if each not in said]
    return f"{said} ({', '.join(both)})" if both else said
