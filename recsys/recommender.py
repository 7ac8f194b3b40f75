"""The front door: `Recommender.load("workspace").recommend("user-17")`."""

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Self, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from data.tables import ANNOUNCED
from encoders.encoding.words import WordSense
from recsys import arguments
from recsys.candidates import Htcl
from recsys.fitted.store import FittedSources, load_models
from recsys.fitted.text_encoder import TextEncoder
from recsys.index.publishing import read_index
from recsys.queries import EVIDENCE, NOTHING, Query
from recsys.ranked import Ranked
from recsys.ranking.cold_listener import popular_and_fresh
from recsys.ranking.explain import Explanation, explain
from recsys.ranking.filters import cap_groups
from recsys.ranking.fusion import Proposals
from recsys.ranking.reasons import Question, reason_in_words
from recsys.ranking.recommendation import Recommendation, as_frame
from recsys.search import by_words
from recsys.search.publishing import read_text_index
from recsys.search.text_index import TextIndex
from recsys.tasks import HISTORY, Task
from recsys.threads import threads_for

OTHER_WORDS = "Try a title, an artist, or words of a genre or mood."
WORDS_HINT = "Build again with pip install 'htcl-recsys[words]' or --text-encoder; until then use --like or --user."
UNTRAINED_HINT = "It learns from songs with audio and text, or from listening: add either, and build again."
SPARE = 10
"""Songs fetched beyond k: a catalogue holds some recordings twice, and each is recommended once."""


class Recommender:
    """Answers from one published workspace; nothing is trained here, and the workspace is not changed."""

    def __init__(
        self, dataset: Dataset, models: FittedSources, words: WordSense | None = None, texts: TextIndex | None = None
    ) -> None:
        """words: what is known of the encoder's words; None refuses no search. texts: None makes one."""
        self._texts = texts or TextIndex.build(dataset.tracks)
        self.dataset, self.models, self.words = dataset, models, words or WordSense()
        self._recordings = dataset.recordings
        self._shown = {name: dataset.tracks[name] for name in ("title", "artist", "album", "duration_s", "audio_path")}
        self._shown["year"] = dataset.tracks["release_date"].dt.year()
        self._listener_starts = np.searchsorted(
            dataset.listens["user"].to_numpy(), np.arange(len(dataset.user_ids) + 1)
        )
        self._played = dataset.listens["track"].to_numpy()
        self._evidence = dataset.listens.select(EVIDENCE).to_series().to_numpy()
        self._disliked = _disliked(dataset)
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
        self, user_id: str, k: int = 20, *, heard: bool = False, per_artist: int | None = None
    ) -> list[Recommendation]: ...
    @overload
    def recommend(
        self, user_id: Sequence[str], k: int = 20, *, heard: bool = False, per_artist: int | None = None
    ) -> pl.DataFrame: ...
    def recommend(
        self, user_id: str | Sequence[str], k: int = 20, *, heard: bool = False, per_artist: int | None = None
    ) -> list[Recommendation] | pl.DataFrame:
        """Songs for one listener, or for many as a frame (user_id, rank, and the fields of Recommendation).

        heard: allow songs they have played, but none that they disliked last. per_artist: at most so many songs by one
        artist. A listener nobody knows gets what is popular and what is fresh, and so does everybody where nothing
        better is left: k songs, unless the catalogue has fewer. Raises UserError for arguments that mean nothing.
        """
        k, per_artist = (
            arguments.count("k", k),
            None if per_artist is None else arguments.count("per_artist", per_artist),
        )
        users = arguments.texts("user_id", user_id)
        queries = [self._listener_query(user, heard) for user in users]
        known = [row for row, query in enumerate(queries) if len(query.history)]
        task: Task = "next-song" if heard else "discovery"
        with threads_for(len(users)):
            found = self._answer(task, [queries[row] for row in known], k, per_artist, "listener")
            answers = dict(zip(known, found, strict=True))
            results = [self._filled(answers.get(row, []), query, k, per_artist) for row, query in enumerate(queries)]
        return results[0] if isinstance(user_id, str) else as_frame(users, results)

    @threads_for(1)
    def continue_playlist(
        self, tracks: Sequence[str], title: str | None = None, k: int = 50, *, per_artist: int | None = None
    ) -> list[Recommendation]:
        """Songs to follow those given; with no songs, songs for the title. Raises UnknownIdError."""
        k, per_artist = (
            arguments.count("k", k),
            None if per_artist is None else arguments.count("per_artist", per_artist),
        )
        title = None if title is None else arguments.text("title", title)
        rows = self.dataset.track_ids.to_rows(arguments.texts("tracks", tracks))
        if not len(rows) and not title:
            raise UserError("a playlist needs songs or a title")
        query = Query(history=rows, text=title, exclude=rows)
        found = self._answer("playlist", [query], k, per_artist, "songs")[0]
        if len(found) < k and not len(rows) and title and title.strip() and not self.words.refused:
            # Validation may have chosen only sources that need songs they know: the words are left.
            more = k if per_artist is None else len(self.dataset.track_ids)
            found = self._once([*found, *self.search(title, more)], rows, per_artist)[:k]
        return self._filled(found, query, k, per_artist)

    @threads_for(1)
    def next_song(self, session: Sequence[str], k: int = 20) -> list[Recommendation]:
        """What to play after these songs, oldest first; they are not answered again. Raises UnknownIdError."""
        k, rows = arguments.count("k", k), self.dataset.track_ids.to_rows(arguments.texts("session", session))
        query = Query(history=rows, exclude=rows)
        found = self._answer("discovery", [query], k, None, "songs")[0] if len(rows) else []
        return self._filled(found, query, k, None)

    @threads_for(1)
    def similar(self, track: str, k: int = 20) -> list[Recommendation]:
        """Songs nearest in HTCL space. Raises UnknownIdError, UserError where the song has neither audio nor text."""
        k, rows = arguments.count("k", k), self.dataset.track_ids.to_rows([arguments.text("track", track)])
        if not self.words.learned:
            raise UserError("the encoder is untrained: nothing told it which songs are alike", UNTRAINED_HINT)
        found = self._htcl.nearest(rows, 2 * k + SPARE)
        if not len(found):
            raise UserError(f'"{track}" has neither audio nor text, so nothing is known about how it sounds')
        tracks, scores = found[0]
        others = tracks != rows[0]
        tracks, scores = self._one_of_each(tracks[others], scores[others], rows)
        nearest = Explanation(("htcl-stage2",), int(rows[0]), "htcl-stage2")
        return self._name(tracks[:k], scores[:k], [nearest] * k, "songs")

    @threads_for(1)
    def search(self, text: str, k: int = 20) -> list[Recommendation]:
        """Songs that are called so (title, artist, album), then songs whose sound and metadata fit the words.

        Where the encoder's words find songs no better than chance, the words of all texts are looked up instead. Raises
        UserError for empty text, and where nothing fits.
        """
        k, words = arguments.count("k", k), arguments.text("text", text)
        if not words.strip():
            raise UserError("nothing to search for")
        meaning = None if self.words.refused else self._near_words
        found = by_words.search(self._texts, words, 2 * k + SPARE, meaning, self._knows, lambda: self._floor)
        if not found:
            why = f"; {self.words.refused}" if self.words.refused else ""
            raise UserError(f'no song is called or described by "{words}"{why}', WORDS_HINT if why else OTHER_WORDS)
        tracks, places = self._one_of_each(
            np.array([song.track for song in found], np.int32), np.arange(len(found), dtype=np.float32)
        )
        shown = [found[int(place)] for place in places[:k]]
        return self._name(
            tracks[:k],
            np.array([song.score for song in shown], np.float32),
            [Explanation((song.source,)) for song in shown],
            "songs",
            [song.reason for song in shown],
        )

    def _near_words(self, text: str, most: int) -> list[tuple[int, float]]:
        return [(int(track), float(score)) for track, score in zip(*self._htcl.by_text(text, most), strict=True)]

    def _knows(self, word: str) -> bool:
        encoder = self._htcl.encode_text
        return isinstance(encoder, TextEncoder) and encoder.knows(word)

    @cached_property
    def _floor(self) -> float:
        return by_words.learned_floor(self._near_words)

    @threads_for(1)
    def popular_and_fresh(self, k: int = 20, *, per_artist: int | None = None) -> list[Recommendation]:
        """For someone new: what most people play lately, and every fourth song one of the newest."""
        allowed = np.ones(len(self.dataset.track_ids), np.bool_)
        return self._popular_and_fresh(arguments.count("k", k), per_artist, allowed)

    def _popular_and_fresh(self, k: int, per_artist: int | None, allowed: NDArray[np.bool_]) -> list[Recommendation]:
        """allowed: (N,) songs that may be answered."""
        wanted = k if per_artist is None else len(allowed)
        tracks, scores, fresh = popular_and_fresh(self._popular, self._newest, allowed, wanted)
        if per_artist is not None:
            capped, _ = cap_groups(Ranked.from_rows([(tracks, scores)]), self.dataset.artists, per_artist)[0]
            kept = np.isin(tracks, capped)
            tracks, scores, fresh = tracks[kept], scores[kept], fresh[kept]
        explained = [Explanation(("fresh",) if new else ("popularity",)) for new in fresh[:k]]
        reasons = ["new" if new else "popular" for new in fresh[:k]]
        return self._name(tracks[:k], scores[:k], explained, "listener", reasons)

    def _filled(
        self, found: list[Recommendation], query: Query, k: int, per_artist: int | None
    ) -> list[Recommendation]:
        """The answer filled up to k with what is popular and fresh, less what the query excludes."""
        if len(found) >= k:
            return found[:k]
        allowed = np.ones(len(self.dataset.track_ids), np.bool_)
        allowed[query.exclude] = False
        if not found and not len(query.exclude):
            return self._popular_and_fresh(k, per_artist, allowed)
        allowed[self.dataset.track_ids.to_rows([song.track_id for song in found])] = False
        for wanted in (2 * (k - len(found)) + SPARE, len(allowed)):
            # Other artists' songs and second copies fall out, so more than are missing are asked for.
            more = self._popular_and_fresh(wanted, None, allowed)
            answer = self._once([*found, *more], query.exclude, per_artist)
            if len(answer) >= k or len(more) < wanted:
                break
        return answer[:k]

    @cached_property
    def _popular(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Every song that anybody plays, most played first, and its score; ranked once."""
        return self.models.sources["next-song"]["popularity"].candidates([Query()], len(self.dataset.track_ids))[0]

    @property
    def _htcl(self) -> Htcl:
        source = self.models.sources["playlist"]["htcl-stage2"]
        assert isinstance(source, Htcl)
        return source

    def _one_of_each(
        self, tracks: NDArray[np.int32], scores: NDArray[np.float32], but: NDArray[np.int32] = NOTHING
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ranked tracks without second copies of a recording, nor copies of those in `but`."""
        known = self._recordings[but]
        fresh = ~np.isin(self._recordings[tracks], known[known >= 0])
        return cap_groups(Ranked.from_rows([(tracks[fresh], scores[fresh])]), self._recordings, 1)[0]

    def _once(
        self, songs: Sequence[Recommendation], given: NDArray[np.int32], per_artist: int | None
    ) -> list[Recommendation]:
        """The songs without second ones of a recording or copies of those given, some of an artist, in their order."""
        rows = self.dataset.track_ids.to_rows([song.track_id for song in songs])
        first = np.sort(np.unique(rows, return_index=True)[1])
        first = first[~np.isin(rows[first], given)]
        tracks, places = self._one_of_each(rows[first], first.astype(np.float32), given)
        if per_artist is not None:
            _, places = cap_groups(Ranked.from_rows([(tracks, places)]), self.dataset.artists, per_artist)[0]
        return [songs[int(place)] for place in places]

    def _listener_query(self, user: str, heard: bool) -> Query:
        row = self.dataset.user_ids.find(user)
        if row is None:
            return Query()
        start, stop = self._listener_starts[row : row + 2]
        first = max(start, stop - HISTORY)
        played = np.unique(self._played[start:stop]).astype(np.int32)
        return Query(
            history=self._played[first:stop].astype(np.int32),
            evidence=self._evidence[first:stop],
            user=row,
            exclude=self._disliked.get(row, NOTHING) if heard else played,
        )

    def _answer(
        self, task: Task, queries: Sequence[Query], k: int, per_artist: int | None, question: Question
    ) -> list[list[Recommendation]]:
        if not queries:
            return []
        settings = self.models.choices.fusion_for(task, all(query.is_title_alone for query in queries))
        rankings = self.models.rankings(task, queries, settings)
        proposals = Proposals.gather(rankings, settings.method, self.models.unplayed)
        # The filters drop songs, so more than k are fused.
        fused = proposals.ranked(settings, (2 if per_artist is None else 10) * k + SPARE)
        fused = Ranked.from_rows(
            [self._one_of_each(*row, query.exclude) for row, query in zip(fused, queries, strict=True)]
        )
        if per_artist is not None:
            fused = cap_groups(fused, self.dataset.artists, per_artist)
        fused = Ranked.from_rows([(tracks[:k], scores[:k]) for tracks, scores in fused])
        explained = explain(queries, fused, proposals, settings, self.models.sources[task])
        return [
            self._name(tracks, scores, explanations, question, titled=bool(query.text))
            for query, (tracks, scores), explanations in zip(queries, fused, explained, strict=True)
        ]

    def _name(
        self,
        tracks: NDArray[np.int32],
        scores: NDArray[np.float32],
        explanations: Sequence[Explanation],
        question: Question,
        reasons: Sequence[str] | None = None,
        titled: bool = False,
    ) -> list[Recommendation]:
        """The rows as Recommendations. reasons: one each; else each explanation in words."""
        ids, shown = self.dataset.track_ids.names, self._shown
        return [
            Recommendation(
                track_id=ids[track],
                score=float(scores[at]),
                reason=reasons[at]
                if reasons
                else reason_in_words(self.dataset, int(track), explanations[at], question, titled),
                sources=explanations[at].sources,
                because=None if (row := explanations[at].because) is None else ids[row],
                # One value at a time: Polars gathers rows in a pool of threads, which a forked process has not.
                **{name: values[int(track)] for name, values in shown.items()},
            )
            for at, track in enumerate(tracks)
        ]


def _disliked(dataset: Dataset) -> dict[int, NDArray[np.int32]]:
    """By listener the songs of which the last word was a dislike; listens lie oldest first."""
    said = dataset.listens.filter(pl.col("feedback").is_in(["like", "dislike"]))
    last = said.group_by("user", "track", maintain_order=True).agg(pl.col("feedback").last())
    by_user = last.filter(feedback="dislike").group_by("user").agg("track")
    return {int(user): np.array(tracks, np.int32) for user, tracks in by_user.iter_rows()}
