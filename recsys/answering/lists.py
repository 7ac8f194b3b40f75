"""How a list is made: what is asked of the models, in which order it is shown, and what fills it up."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UnknownIdError, UserError
from data.events.store import EventStore
from data.storage.workspace import Workspace
from encoders.word_sense import WordSense
from recsys.candidates import Htcl
from recsys.candidates.simple.popularity import play_counts
from recsys.catalogue.catalogue import Catalogue
from recsys.fitted.store import Answer, FittedSources
from recsys.fitted.text_encoder import TextEncoder
from recsys.listeners import Listeners
from recsys.live.changes import Changes
from recsys.queries import NOTHING, Query
from recsys.ranked import Ranked
from recsys.ranking.arrange import ALL, DEEPER, SPARE, Asked, arranged
from recsys.ranking.cold_listener import floor, newest_first
from recsys.ranking.daily import DRAWN_FROM, not_dealt
from recsys.ranking.dislikes import Dislikes
from recsys.ranking.evidence import MOST_LABELS, WordsOfSongs
from recsys.ranking.explain import Explanation, explain
from recsys.ranking.filters import Caps, SongGroups
from recsys.ranking.reasons import Question
from recsys.ranking.recommendation import Naming, Recommendation
from recsys.ranking.steering.discovery import BITS, BITS_AFTER_SONGS, dialled, novelty
from recsys.ranking.steering.diversity import Diversity
from recsys.ranking.steering.path import small_step
from recsys.search.by_words import WordSearch
from recsys.search.text_index import TextIndex
from recsys.tasks import Task
from recsys.wishes import Wishes

UNTRAINED_HINT = "It learns from songs with audio and text, or from listening: add either, and build again."


class Lists:
    """The lists of one published workspace; the front door hands questions in."""

    def __init__(
        self,
        dataset: Dataset,
        models: FittedSources,
        words: WordSense | None = None,
        texts: TextIndex | None = None,
        events: EventStore | None = None,
    ) -> None:
        """words: what is known of the encoder's words; None refuses no search. texts: None makes one. events: None
        takes the dataset's workspace's."""
        texts = texts or TextIndex.build(dataset.tracks)
        self._word_search = WordSearch(texts, lambda *asked: self._htcl.by_text(*asked), self._knows)
        self.dataset, self.models, self.words = dataset, models, words or WordSense()
        self._groups = SongGroups(dataset.lead_artists, dataset.albums, dataset.recordings)
        self._recordings, self._gone = self._groups.recordings, NOTHING
        self._catalogue = Catalogue(dataset)
        self._name = Naming(dataset, self._groups.artists, self._how_near)
        self._changes = Changes(dataset, events or EventStore(Workspace(dataset.root).events))
        self._listeners = Listeners(dataset, self._changes, lambda artist: self._catalogue.artists.find(artist))
        self._dislikes = Dislikes(self._groups.artists, self._htcl.vectors if self.words.learned else None)
        self._newest = newest_first(dataset.tracks["release_date"])

    def _asked(self, query: Query, wants: Wishes, allowed: NDArray[np.bool_] | None, *asker: str | None) -> Asked:
        """allowed: (N,) what the wishes allow. asker: what a list is asked for, so that not everybody's lists of a day
        change alike."""
        plus, minus = self._seeds(wants.more_like), self._seeds(wants.less_like)
        query = query.after(plus)
        never = [query.exclude, self.dataset.track_ids.to_rows(wants.blocked), minus, self._taken_down()]
        query = replace(query, exclude=np.unique(np.concatenate(never)), allowed=allowed)
        later, resembling = NOTHING, None
        if wants.day is not None and wants.not_again_days is not None:
            deal = wants.number("deal", *asker)
            later = not_dealt(self._groups.recordings, wants.day.toordinal(), wants.not_again_days, deal)
        if len(query.disliked):
            resembling = self._dislikes.resembling(query.disliked, query.liked)
        if len(minus):
            liked = query.history if query.user is None else plus
            resembling = self._dislikes.resembling(minus, liked) | (False if resembling is None else resembling)
        luck = wants.number(wants.day, *asker) if wants.is_drawn else None
        diversity = Diversity(wants.diversity, self._vectors) if wants.diversity else None
        weighed = None if wants.discovery is None else self._novelty * (BITS_AFTER_SONGS * wants.discovery)
        return Asked(query, _caps(wants), later, resembling, luck, diversity, weighed)

    def _seeds(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Rows of the songs named: by id, or all of `artist:NAME` and `album:NAME` that are not taken down.

        Raises UnknownIdError, also for songs that are.
        """
        return self._standing(names, self._catalogue.seeds(names))

    def _standing(self, names: Sequence[str], rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """The songs named that are not taken down. Raises UnknownIdError for an id that is, or where all are."""
        gone = self._changes.gone
        if not len(gone) or not (out := np.isin(rows, gone)).any():
            return rows
        for name in names:
            row = self.dataset.track_ids.find(name)
            if (row is not None and row in gone) or out.all():
                raise UnknownIdError(f'"{name}" is {self._changes.why_gone(int(rows[0] if row is None else row))}')
        return rows[~out]

    def _taken_down(self) -> NDArray[np.int32]:
        """By now. From then on such a song is no version of another, which would go with it."""
        gone = self._changes.gone
        if gone is not self._gone:
            recordings = self._recordings.copy()
            recordings[gone] = -1
            self._groups, self._gone = replace(self._groups, recordings=recordings), gone
        return gone

    @cached_property
    def _novelty(self) -> NDArray[np.float64]:
        """(N,) bits. Raises UserError where no song has a play, so that all are alike new."""
        plays = play_counts(self.dataset)
        if not plays.any():
            raise UserError("discovery tells little known songs by their plays, and no song has any", "Leave it out.")
        return novelty(plays)

    def _vectors(self, tracks: NDArray[np.int32]) -> NDArray[np.float32]:
        """Unit vectors of songs, zeros where a song has none. Raises UserError where nothing told the encoder."""
        if not self.words.learned:
            raise UserError("the encoder is untrained: nothing told it which songs are alike", UNTRAINED_HINT)
        return self._htcl.near.of(tracks) * self._htcl.near.known[tracks, None]

    def _filled(
        self, found: list[Recommendation], asked: Asked, k: int, explained: bool = True
    ) -> list[Recommendation]:
        """The answer filled up to k with what is popular and fresh."""
        if len(found) >= k:
            return found[:k]
        tracks, scores, fresh = floor(self._rows(found), asked, k, self._popular, self._newest, self._groups)
        if not explained:
            return found + self._name(tracks, scores)
        why = [Explanation(("fresh",) if new else ("popularity",)) for new in fresh]
        return found + self._name(tracks, scores, why, reasons=["new" if new else "popular" for new in fresh])

    def _rows(self, songs: Sequence[Recommendation]) -> NDArray[np.int32]:
        return self.dataset.track_ids.to_rows([song.track_id for song in songs])

    @cached_property
    def _popular(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Every song that anybody plays, most played first, and its score; ranked once."""
        return self.models.sources["next-song"]["popularity"].candidates([Query()], len(self.dataset.track_ids))[0]

    @property
    def _htcl(self) -> Htcl:
        source = self.models.sources["playlist"]["htcl-stage2"]
        assert isinstance(source, Htcl)
        return source

    def _answer(
        self, task: Task, asked: Sequence[Asked], k: int, question: Question, explained: bool = True
    ) -> list[list[Recommendation]]:
        if not asked:
            return []
        queries = [each.of_sources for each in asked]
        titles_alone = all(query.is_title_alone for query in queries)
        answer, best = self._lists(task, asked, k, titles_alone)
        if not explained:
            return [self._name(tracks, scores) for tracks, scores in best]

        # Whoever stands behind twice the list is farther down than all of it, unless it was put together from behind.
        most = ALL if any(each.diversity is not None for each in asked) else DRAWN_FROM * k + SPARE
        plain = [replace(each, luck=None, diversity=None) for each in asked]

        def again(rows: Sequence[int], changed: Sequence[Query]) -> list[NDArray[np.int32]]:
            others = [replace(plain[row], query=query) for row, query in zip(rows, changed, strict=True)]
            return [tracks for tracks, _ in self._lists(task, others, most, titles_alone)[1]]

        rows = zip(answer.ranked, plain, strict=True)
        before = [arranged(row, each, self._groups, ALL)[0] for row, each in rows]
        why = explain(queries, best, answer.proposals, answer.settings, self.models.sources[task], again, before)
        return [
            self._name(tracks, scores, explanations, question, query=query)
            for query, (tracks, scores), explanations in zip(queries, best, why, strict=True)
        ]

    def _lists(self, task: Task, asked: Sequence[Asked], k: int, titles_alone: bool) -> tuple[Answer, Ranked]:
        """What the models answer, and the k songs to show of it."""
        deepest = max(each.depth(k) for each in asked)
        answer = self.models.answer(task, [each.of_sources for each in asked], deepest, titles_alone)
        rows = zip(answer.ranked, asked, strict=True)
        return answer, Ranked.from_rows([arranged(row, each, self._groups, k) for row, each in rows])

    def _for_listeners(
        self, users: Sequence[str], k: int, wants: Wishes, explained: bool, familiar: bool = False
    ) -> list[list[Recommendation]]:
        """familiar: songs that each listener has heard, and no others."""
        allowed = self._catalogue.allowed(wants)
        asked = [self._asked(self._listeners.query(user, wants), wants, allowed, user) for user in users]
        if familiar:
            both = zip(asked, map(self._listeners.heard, users), strict=True)
            asked = [replace(each, query=each.query.among(heard, len(self.dataset.track_ids))) for each, heard in both]
        known = [row for row, each in enumerate(asked) if len(each.query.history)]
        task: Task = "next-song" if wants.heard else "discovery"
        answers = self._answer(task, [asked[row] for row in known], k, "listener", explained)
        found = dict(zip(known, answers, strict=True))
        return [self._filled(found.get(row, []), each, k, explained) for row, each in enumerate(asked)]

    def _between(
        self, users: Sequence[str], k: int, wants: Wishes, dial: float, explained: bool
    ) -> list[list[Recommendation]]:
        """Lists of what listeners have heard and of what they have not, put together by the dial."""
        bits, caps, plain, results = self._novelty, _caps(wants), replace(wants, discovery=None), []
        familiar = self._for_listeners(users, 2 * k + SPARE, replace(plain, heard=True), explained, familiar=True)
        little_known = replace(plain, heard=False, discovery=BITS / BITS_AFTER_SONGS)
        new = self._for_listeners(users, 4 * k + SPARE, little_known, explained)
        for both in zip(familiar, new, strict=True):  # of each listener
            heard, others = map(self._rows, both)
            places = dialled(heard, others, dial, k, bits, self._groups, caps)
            songs = [*both[0], *both[1]]
            results.append([replace(songs[at], score=1 - n / len(places)) for n, at in enumerate(places)])
        return results

    def _by_words(self, text: str, asked: Asked, k: int) -> list[Recommendation]:
        """Songs by name, and by meaning where the encoder knows any; empty where nothing fits."""
        most = (DEEPER if asked.caps.any else 2) * k + SPARE + len(self._gone)
        found = self._word_search.found(text, most, asked.query.allowed, by_meaning=not self.words.refused)
        tracks = np.array([song.track for song in found], np.int32)
        scores = np.array([song.score for song in found], np.float32)
        kept = self._groups.kept(tracks, asked.query.exclude, asked.caps)[:k]
        shown = [found[place] for place in kept]
        return self._name(
            tracks[kept],
            np.minimum.accumulate(scores[kept]),
            [Explanation((song.source,)) for song in shown],
            "songs",
            [song.reason for song in shown],
        )

    def _knows(self, word: str) -> bool:
        encoder = self._htcl.encode_text
        return isinstance(encoder, TextEncoder) and encoder.knows(word)

    def _how_near(self, one: int, other: int) -> str:
        """How like two songs that have vectors are: much where they are as near as one in a hundred random pairs, a
        little where they are farther apart than one in ten."""
        if not self.words.learned:
            return ""
        first, second = self._vectors(np.array([one, other], np.int32))
        distance = float(1 - first @ second)
        return "much " if distance <= self._small_step else "" if distance <= self._usual_step else "a little "

    @cached_property
    def _usual_step(self) -> float:
        return small_step(self._htcl.vectors.values, 0.1)

    @cached_property
    def _small_step(self) -> float:
        return small_step(self._htcl.vectors.values)

    @cached_property
    def _labels(self) -> WordsOfSongs:
        encode = None if self.words.refused else self._htcl.encode_text
        return WordsOfSongs(self._catalogue.tags.most_frequent(MOST_LABELS), encode, self._knows)


def _caps(wants: Wishes) -> Caps:
    return Caps(wants.per_artist, wants.per_album, wants.gives_way, wants.versions)
