"""Why a song is recommended, in a line that fits the question: the listener's own plays of it or of its artist, the
played song behind it, and what the two share.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from recsys.candidates import REASONS
from recsys.candidates.declaration import Reason
from recsys.queries import Query
from recsys.ranking.explain import Explanation
from recsys.ranking.shared import SAME_ALBUM, SAME_ARTIST, what_is_shared

Question = Literal["listener", "songs"]
"""For whom: a listener with a history, or songs alone (a playlist, a session), without a listener."""
LONGEST = 40
"""Letters of a title that are shown."""
OFTEN = 3
"""Plays of an artist from which they are a reason beside a song of another artist."""


@dataclass(frozen=True)
class Known:
    """What a query knows of a recommended song.

    plays: of how many plays (or given songs), times: of the song itself, days: since the last of these (None where
    times are unknown), by_artist: of songs by its artist. unplayed: whether nobody has played it. titled: whether a
    playlist's title was given.
    """

    plays: int = 0
    times: int = 0
    days: float | None = None
    by_artist: int = 0
    unplayed: bool = False
    titled: bool = False

    @classmethod
    def of(cls, query: Query, track: int, artists: NDArray[np.int32], played: NDArray[np.bool_]) -> Self:
        """artists: (N,) a number each, -1 unknown. played: (N,) songs that anybody has played."""
        own = np.flatnonzero(query.history == track)
        timed = len(own) > 0 and query.ages_days is not None
        return cls(
            plays=len(query.history),
            times=len(own),
            days=float(query.ages_days[own].min()) if timed and query.ages_days is not None else None,
            by_artist=int((artists[query.history] == artists[track]).sum()) if artists[track] >= 0 else 0,
            unplayed=not played[track],
            titled=bool(query.text),
        )


NOTHING_KNOWN = Known()
HowNear = Callable[[int, int], str]
"""Two songs -> "much ", "a little " or nothing, which stands before "like"."""


def reason_in_words(
    dataset: Dataset,
    track: int,
    explanation: Explanation,
    question: Question,
    known: Known = NOTHING_KNOWN,
    how_near: HowNear = lambda one, other: "",
) -> str:
    """One line, what weighs most first.

    Of a song that the listener has played, their own plays. Else its artist, where they play them; that nobody has
    played it; and the source with the largest part in its score with the song behind it. A source that compares with
    played songs and can name none is passed over; where another one names the song, its words go with it.
    """
    behind = _song_behind(dataset, track, explanation, question, how_near)
    if known.times and question == "listener":
        own = _own_plays(known)
        return own if known.times > 1 or behind is None or behind.repeated else f"{own}; {behind.words}"
    artist, said = dataset.song(track).artist, []
    same = behind is not None and behind.same_artist
    if artist and known.by_artist and (same or explanation.because is None or known.by_artist >= OFTEN):
        said.append(_of_artist(artist, known, question))
    if known.unplayed:
        said.append("nobody has played it yet")
    # An artist who is played often says more than songs of which none alone stands behind the recommendation.
    if not (said and explanation.because is None and known.by_artist >= OFTEN):
        said += _in_sources_words(explanation, question, behind)
    if said:
        return "; ".join(said)
    if known.titled:
        return "fits the title"
    return "fits what you play" if question == "listener" else "fits these songs"


@dataclass(frozen=True)
class _Behind:
    """The words about the song behind a recommendation. repeated: it is the recommended one."""

    words: str
    same_artist: bool = False
    repeated: bool = False


def _in_sources_words(explanation: Explanation, question: Question, behind: _Behind | None) -> list[str]:
    for source in explanation.sources:
        words = _words(REASONS[source], question)
        if "{song}" not in words:
            return [words] if behind is None or behind.repeated else [words, behind.words]
        if source == explanation.by and behind is not None:
            return [behind.words]
    return [] if behind is None else [behind.words]


def _song_behind(
    dataset: Dataset, track: int, explanation: Explanation, question: Question, how_near: HowNear
) -> _Behind | None:
    """By the source through which it counts most; None where that one names no song."""
    by, because = explanation.by, explanation.because
    if by is None:
        return None
    if because == track:
        return _Behind(_words(REASONS["repeat"], question), repeated=True)
    named = explanation.most if because is None else (because,)
    reason = REASONS[by]
    words = _words(reason, question)
    if "{song}" not in words or not named or track in named:
        return None
    if explanation.of_likes and reason.of_likes is not None:
        words = reason.of_likes
    elif reason.without_audio is not None and any(dataset.song(row).audio_path is None for row in (track, *named)):
        words = reason.without_audio
    if because is None:
        listed = _name(dataset, named[0]) if len(named) == 1 else " and ".join(_title(dataset, row) for row in named)
        return _Behind(words.format(song=listed, how=""))
    shared = what_is_shared(dataset, track, because)
    same_artist = dataset.song(track).artist is not None and (SAME_ARTIST in shared or SAME_ALBUM in shared)
    if same_artist and by == "same-artist":
        words = "like {song}"
    name = _title(dataset, because) if same_artist else _name(dataset, because)
    said = words.format(song=name, how=how_near(track, because))
    both = [each for each in shared if each not in said and each != SAME_ARTIST]
    return _Behind(f"{said} ({', '.join(both)})" if both else said, same_artist)


def _name(dataset: Dataset, row: int) -> str:
    """Title and artist, as far as they are known."""
    artist = dataset.song(row).artist
    return f"{_title(dataset, row)} by {artist}" if artist else _title(dataset, row)


def _title(dataset: Dataset, row: int) -> str:
    """The title or the id, cut where it is long."""
    title = dataset.song(row).title or dataset.track_ids.names[row]
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 1].rstrip(' ,')}…"


def _words(reason: Reason, question: Question) -> str:
    return reason.words(about_songs=question == "songs")


def _own_plays(known: Known) -> str:
    """How often and when the listener has played the song."""
    if known.times == 1:
        return "you played it lately" if known.days is None else f"you played it {_ago(known.days)}"
    when = "" if known.days is None else f", the latest {_ago(known.days)}"
    return f"{known.times} of your last {known.plays} plays{when}"


def _of_artist(artist: str, known: Known, question: Question) -> str:
    if known.by_artist == 1:
        return f"also by {artist}"
    if question == "listener":
        return f"you play {artist} ({known.by_artist} of your last {known.plays} plays)"
    return f"by {artist} like {known.by_artist} of these songs"


def _ago(days: float) -> str:
    whole = int(days)
    return "today" if whole == 0 else "yesterday" if whole == 1 else f"{whole} days ago"
