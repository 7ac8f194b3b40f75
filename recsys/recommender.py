"""The front door: `Recommender.load("workspace").recommend("user-17")`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Self, Unpack, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.reporting import logger
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from data.tables import ANNOUNCED
from encoders.encoding.words import WordSense
from recsys import arguments
from recsys.candidates import Htcl
from recsys.candidates.simple.popularity import play_counts
from recsys.catalogue.catalogue import Catalogue
from recsys.fitted.store import Answer, FittedSources, load_models
from recsys.fitted.text_encoder import TextEncoder
from recsys.index.publishing import read_index
from recsys.listeners import Listeners
from recsys.queries import NOTHING, Query
from recsys.ranked import Ranked
from recsys.ranking.arrange import ALL, DEEPER, SPARE, Asked, arranged, within_caps
from recsys.ranking.cold_listener import floor
from recsys.ranking.daily import not_dealt
from recsys.ranking.dislikes import Dislikes
from recsys.ranking.explain import Explanation, explain
from recsys.ranking.filters import UNCAPPED, Caps, SongGroups
from recsys.ranking.reasons import Question
from recsys.ranking.recommendation import Naming, Recommendation, as_frame
from recsys.ranking.steering.discovery import BITS, blended, novelty
from recsys.ranking.steering.diversity import Diversity
from recsys.search import by_words
from recsys.search.publishing import read_text_index
from recsys.search.text_index import TextIndex
from recsys.tasks import Task
from recsys.threads import threads_for
from recsys.wishes import Wishes, WishFields

log = logger(__name__)

WORDS_HINT = "Build again with pip install 'htcl-recsys[words]' or --text-encoder; until then use --like or --user."
UNTRAINED_HINT = "It learns from songs with audio and text, or from listening: add either, and build again."


class Recommender:
    """Answers from one published workspace; nothing is trained here, and the workspace is not changed."""

    def __init__(
        self, dataset: Dataset, models: FittedSources, words: WordSense | None = None, texts: TextIndex | None = None
    ) -> None:
        """words: what is known of the encoder's words; None refuses no search. texts: None makes one."""
        self._texts = texts or TextIndex.build(dataset.tracks)
        self.dataset, self.models, self.words = dataset, models, words or WordSense()
        self._groups = SongGroups(dataset.lead_artists, dataset.albums, dataset.recordings)
        self._catalogue = Catalogue(dataset)
        self._name = Naming(dataset)
        self._listeners = Listeners(dataset)
        self._dislikes = Dislikes(self._groups.artists, self._htcl.vectors if self.words.learned else None)
        release = dataset.tracks["release_date"]
        release = release.set(release > date.today() + ANNOUNCED, None)  # or it would be new for ever
        dates = release.fill_null(release.min()).to_numpy() if release.null_count() < len(release) else None
        rows = np.arange(len(release))
        self._newest = rows if dates is None else np.argsort(dates, kind="stable")[::-1]

    @classmethod
    def load(cls, workspace: str | Path = "workspace") -> Self:
        """Open a workspace that build_index has finished. Every file is checked against its checksum first.

        Raises UserError where something is missing, DamagedError where something is damaged.
        """
        space = Workspace(Path(workspace).absolute())  # a process may change its folder later
        dataset = load_dataset(space)
        index, _ = read_index(space, dataset)
        words = WordSense.of(read_manifest(space.encoder("preference")))
        return cls(dataset, load_models(space, dataset, index), words, read_text_index(space, dataset))

    @overload
    def recommend(  # type: ignore[overload-overlap]  # a str is a sequence of str as well
        self, user_id: str, k: int = 20, *, explain: bool = True, **wishes: Unpack[WishFields]
    ) -> list[Recommendation]: ...
    @overload
    def recommend(
        self, user_id: Sequence[str], k: int = 20, *, explain: bool = True, **wishes: Unpack[WishFields]
    ) -> pl.DataFrame: ...
    def recommend(
        self, user_id: str | Sequence[str], k: int = 20, *, explain: bool = True, **wishes: Unpack[WishFields]
    ) -> list[Recommendation] | pl.DataFrame:
        """Songs for one listener, or for many as a frame (user_id, rank, and the fields of Recommendation).

        explain: False works out no reasons, which batches can do without: `reason` and `sources` are empty, `because`
        is None. wishes: `recsys.wishes.Wishes` lists them. A listener nobody knows gets what is popular and what is
        fresh, and so does everybody where nothing better is left: k songs, unless the catalogue has fewer. Raises
        UserError for arguments that mean nothing, UnknownIdError for songs, artists and labels that nobody knows.
        """
        k, wants, users = arguments.count("k", k), Wishes.of(**wishes), arguments.texts("user_id", user_id)
        with threads_for(len(users)):
            if wants.discovery is None:
                results = self._for_listeners(users, k, wants, explain)
            else:
                results = self._between(users, k, wants, wants.discovery, explain)
        return results[0] if isinstance(user_id, str) else as_frame(users, results)

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
        heard = self._for_listeners(users, 2 * k + SPARE, replace(wants, heard=True), explained, familiar=True)
        new = self._for_listeners(users, k, replace(wants, heard=False), explained)
        caps, results = _caps(wants), []
        for both in zip(heard, new, strict=True):  # of each listener
            places = blended(self._rows(both[0]), self._rows(both[1]), dial, k, self._groups, caps)
            songs = [*both[0], *both[1]]
            results.append([replace(songs[at], score=1 - n / len(places)) for n, at in enumerate(places)])
        return results

    @threads_for(1)
    def continue_playlist(
        self, tracks: Sequence[str], title: str | None = None, k: int = 50, **wishes: Unpack[WishFields]
    ) -> list[Recommendation]:
        """Songs to follow those given; with no songs, songs for the title. Raises UnknownIdError.

        tracks: ids; `artist:NAME` and `album:NAME` stand for all their songs, here and in the other methods.
        """
        k, title = arguments.count("k", k), None if title is None else arguments.text("title", title)
        names = arguments.texts("tracks", tracks)
        rows = self._catalogue.seeds(names)
        if not len(rows) and not title:
            raise UserError("a playlist needs songs or a title")
        query = Query(history=rows, text=None if self.words.refused else title, exclude=rows)
        wants = Wishes.of("continue_playlist", **wishes)
        asked = self._asked(query, wants, self._catalogue.allowed(wants), title, *names)
        heard = len(asked.query.history)
        found = self._answer("playlist", [asked], k, "songs")[0] if heard or query.text else []
        if len(found) < k and not heard and title:
            # Validation may have chosen only sources that need songs they know: the words are left.
            found += self._by_words(
                title, replace(asked, caps=UNCAPPED), len(self.dataset.track_ids) if asked.caps.any else k
            )
            kept = self._groups.kept(self._rows(found), asked.query.exclude, asked.caps)
            found = [found[place] for place in kept]
        return self._filled(found, asked, k)

    @threads_for(1)
    def next_song(self, session: Sequence[str], k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """What to play after these songs, oldest first; they are not answered again. Raises UnknownIdError."""
        k, names = arguments.count("k", k), arguments.texts("session", session)
        rows = self._catalogue.seeds(names)
        wants = Wishes.of("next_song", **wishes)
        asked = self._asked(Query(history=rows, exclude=rows), wants, self._catalogue.allowed(wants), *names)
        found = self._answer("discovery", [asked], k, "songs")[0] if len(asked.query.history) else []
        return self._filled(found, asked, k)

    @threads_for(1)
    def similar(self, track: str, k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """Songs nearest in HTCL space, to the mean where `artist:NAME` or `album:NAME` stands for several.

        Raises UnknownIdError, UserError where the song has neither audio nor text.
        """
        k, name, wants = arguments.count("k", k), arguments.text("track", track), Wishes.of("similar", **wishes)
        rows = self._catalogue.seeds([name])
        asked = self._asked(Query(history=rows, exclude=rows), wants, self._catalogue.allowed(wants), name)
        seeds, allowed = asked.query.history, asked.query.allowed
        if not self._vectors(seeds).any():
            raise UserError(f'"{track}" has neither audio nor text, so nothing is known about how it sounds')
        tracks, scores = within_caps(lambda most: self._htcl.around(seeds, most, allowed), asked, self._groups, k)
        nearest = seeds[(self._vectors(tracks) @ self._vectors(seeds).T).argmax(axis=1)]
        why = [Explanation(("htcl-stage2",), int(song), "htcl-stage2", (1.0,)) for song in nearest]
        return self._name(tracks, scores, why, "songs")

    @threads_for(1)
    def search(self, text: str, k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """Songs that are called so (title, artist, album), then songs whose sound and metadata fit the words.

        Where the encoder's words find songs no better than chance, the words of all texts are looked up instead. Empty,
        with a warning that names the words, where nobody knows them: neither any text nor the encoder. Raises UserError
        for empty text, and where the encoder's words are refused and no text has any of them.
        """
        k, words, wants = arguments.count("k", k), arguments.text("text", text), Wishes.of("search", **wishes)
        if not words.strip():
            raise UserError("nothing to search for")
        asked = self._asked(Query(), wants, self._catalogue.allowed(wants))
        if found := self._by_words(words, asked, k):
            return found
        if asked.query.allowed is not None or len(asked.query.exclude):
            log.warning(f'none of the songs that are wished for is called or described by "{words}"')
            return []
        if self.words.refused:
            raise UserError(f'no song is called or described by "{words}"; {self.words.refused}', WORDS_HINT)
        unknown = " ".join(f'"{word}"' for word in self._texts.unknown(words))
        log.warning(f'no song is called or described by "{words}": nobody knows {unknown or "these words"}')
        return []

    def _by_words(self, text: str, asked: Asked, k: int) -> list[Recommendation]:
        """Songs by name, and by meaning where the encoder knows any; empty where nothing fits."""
        most = (DEEPER if asked.caps.any else 2) * k + SPARE

        def near_words(text: str, most: int) -> list[tuple[int, float]]:
            found = self._htcl.by_text(text, most, asked.query.allowed)
            return [(int(track), float(score)) for track, score in zip(*found, strict=True)]

        meaning = None if self.words.refused else near_words
        found = by_words.search(self._texts, text, most, meaning, self._knows, lambda: self._floor, asked.query.allowed)
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

    @cached_property
    def _floor(self) -> float:
        def nearest(text: str, most: int) -> list[tuple[int, float]]:
            return [(int(track), float(score)) for track, score in zip(*self._htcl.by_text(text, most), strict=True)]

        return by_words.learned_floor(nearest)

    @threads_for(1)
    def popular_and_fresh(self, k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """For someone new: what most people play lately, and every fourth song one of the newest."""
        k, wants = arguments.count("k", k), Wishes.of("popular_and_fresh", **wishes)
        return self._filled([], self._asked(Query(), wants, self._catalogue.allowed(wants)), k)

    def _asked(self, query: Query, wants: Wishes, allowed: NDArray[np.bool_] | None, *asker: str | None) -> Asked:
        """allowed: (N,) what the wishes allow. asker: what a list is asked for, so that not everybody's lists of a day
        change alike."""
        plus, minus = self._catalogue.seeds(wants.more_like), self._catalogue.seeds(wants.less_like)
        query = query.after(plus)
        never = [query.exclude, self.dataset.track_ids.to_rows(wants.blocked), minus]
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
        weighed = self._novelty * (BITS * wants.discovery) if wants.discovery else None
        return Asked(query, _caps(wants), later, resembling, luck, diversity, weighed)

    @cached_property
    def _novelty(self) -> NDArray[np.float64]:
        return novelty(play_counts(self.dataset))

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

        def again(rows: Sequence[int], changed: Sequence[Query]) -> list[NDArray[np.int32]]:
            plain = [replace(asked[row], luck=None, diversity=None) for row in rows]
            others = [replace(each, query=query) for each, query in zip(plain, changed, strict=True)]
            return [tracks for tracks, _ in self._lists(task, others, ALL, titles_alone)[1]]

        why = explain(queries, best, answer.proposals, answer.settings, self.models.sources[task], again)
        return [
            self._name(tracks, scores, explanations, question, titled=bool(query.text))
            for query, (tracks, scores), explanations in zip(queries, best, why, strict=True)
        ]

    def _lists(self, task: Task, asked: Sequence[Asked], k: int, titles_alone: bool) -> tuple[Answer, Ranked]:
        """What the models answer, and the k songs to show of it."""
        deepest = max(each.depth(k) for each in asked)
        answer = self.models.answer(task, [each.of_sources for each in asked], deepest, titles_alone)
        rows = zip(answer.ranked, asked, strict=True)
        return answer, Ranked.from_rows([arranged(row, each, self._groups, k) for row, each in rows])


def _caps(wants: Wishes) -> Caps:
    return Caps(wants.per_artist, wants.per_album, wants.gives_way, wants.versions)
