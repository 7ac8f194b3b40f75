"""The front door: `Recommender.load("workspace").recommend("user-17")`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, Unpack, overload

import numpy as np
import polars as pl

from data.dataset import load_dataset
from data.errors import UserError
from data.reporting import logger
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.word_sense import WordSense
from recsys import arguments
from recsys.answering.lists import Lists
from recsys.fitted.store import load_models
from recsys.index.publishing import read_index
from recsys.live.changes import anew
from recsys.live.told import Told
from recsys.live.versions import live
from recsys.queries import Query
from recsys.ranking.arrange import within_caps
from recsys.ranking.evidence import Evidence, nearest_names
from recsys.ranking.explain import Explanation
from recsys.ranking.filters import UNCAPPED
from recsys.ranking.recommendation import Recommendation, as_frame
from recsys.ranking.steering.path import path_between, sizes_of_steps
from recsys.search.publishing import read_text_index
from recsys.threads import threads_for
from recsys.wishes import Wishes, WishFields

log = logger(__name__)

WORDS_HINT = "Build again with pip install 'htcl-recsys[words]' or --text-encoder; until then use --like or --user."


class Recommender(Lists, Told):
    """Answers from one published workspace and what has come since; nothing is trained here, and nothing of the
    workspace is changed but that events are added (`add_listens` and its like)."""

    _version = ""

    @classmethod
    def load(cls, workspace: str | Path = "workspace") -> Self:
        """Open the version of a workspace that the last complete build published. Every file is checked against its
        checksum first.

        Raises UserError where something is missing, DamagedError where something is damaged.
        """
        space = live(Workspace(Path(workspace).absolute()))  # a process may change its folder later
        dataset = load_dataset(space)
        index, _ = read_index(space, dataset)
        words = WordSense.of(read_manifest(space.encoder("preference")))
        opened = cls(dataset, load_models(space, dataset, index), words, read_text_index(space, dataset))
        opened._version = space.version
        return opened

    def newest(self) -> Self:
        """This one, or the version that a build has published since, opened: for who answers for weeks.

        Takes some ten microseconds where there is none. Raises as `load` does.
        """
        space = Workspace(self.dataset.root)
        return self if live(space).version == self._version else self.load(space.root)

    @overload
    def recommend(  # type: ignore[overload-overlap]  # a str is a sequence of str as well
        self, user_id: str, k: int = 20, *, explain: bool | None = None, **wishes: Unpack[WishFields]
    ) -> list[Recommendation]: ...
    @overload
    def recommend(
        self, user_id: Sequence[str], k: int = 20, *, explain: bool | None = None, **wishes: Unpack[WishFields]
    ) -> pl.DataFrame: ...
    @anew
    def recommend(
        self, user_id: str | Sequence[str], k: int = 20, *, explain: bool | None = None, **wishes: Unpack[WishFields]
    ) -> list[Recommendation] | pl.DataFrame:
        """Songs for one listener, or for many as a frame (user_id, rank, and the fields of Recommendation).

        explain: whether reasons are worked out, which takes longer than the list; None is for one listener, not for
        many. Without them `reason` and `sources` are empty, `because` is None. wishes: `recsys.wishes.Wishes` lists
        them. A listener nobody knows gets what is popular and what is fresh, and so does everybody where nothing better
        is left: k songs, unless the catalogue has fewer. Raises UserError for arguments that mean nothing,
        UnknownIdError for songs, artists and labels that nobody knows.
        """
        k, wants, users = arguments.count("k", k), Wishes.of(**wishes), arguments.texts("user_id", user_id)
        explained = isinstance(user_id, str) if explain is None else explain
        with threads_for(len(users)):
            if wants.discovery is None:
                results = self._for_listeners(users, k, wants, explained)
            else:
                results = self._between(users, k, wants, wants.discovery, explained)
        return results[0] if isinstance(user_id, str) else as_frame(users, results)

    @anew
    @threads_for(1)
    def continue_playlist(
        self, tracks: Sequence[str], title: str | None = None, k: int = 50, **wishes: Unpack[WishFields]
    ) -> list[Recommendation]:
        """Songs to follow those given; with no songs, songs for the title. Raises UnknownIdError.

        tracks: ids; `artist:NAME` and `album:NAME` stand for all their songs, here and in the other methods.
        """
        k, title = arguments.count("k", k), None if title is None else arguments.text("title", title)
        names = arguments.texts("tracks", tracks)
        rows = self._seeds(names)
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

    @anew
    @threads_for(1)
    def next_song(self, session: Sequence[str], k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """What to play after these songs, oldest first; they are not answered again. Raises UnknownIdError."""
        k, names = arguments.count("k", k), arguments.texts("session", session)
        rows = self._seeds(names)
        wants = Wishes.of("next_song", **wishes)
        asked = self._asked(Query(history=rows, exclude=rows), wants, self._catalogue.allowed(wants), *names)
        found = self._answer("discovery", [asked], k, "songs")[0] if len(asked.query.history) else []
        return self._filled(found, asked, k)

    @anew
    @threads_for(1)
    def similar(self, track: str, k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """Songs nearest in HTCL space, to the mean where `artist:NAME` or `album:NAME` stands for several.

        Raises UnknownIdError, UserError where the song has neither audio nor text.
        """
        k, name, wants = arguments.count("k", k), arguments.text("track", track), Wishes.of("similar", **wishes)
        rows = self._seeds([name])
        asked = self._asked(Query(history=rows, exclude=rows), wants, self._catalogue.allowed(wants), name)
        seeds, allowed = asked.query.history, asked.query.allowed
        if not self._vectors(seeds).any():
            raise _unheard(track)
        tracks, scores = within_caps(lambda most: self._htcl.around(seeds, most, allowed), asked, self._groups, k)
        nearest = seeds[(self._vectors(tracks) @ self._vectors(seeds).T).argmax(axis=1)]
        why = [Explanation(("htcl-stage2",), int(song), "htcl-stage2", (1.0,)) for song in nearest]
        return self._name(tracks, scores, why, "songs", query=asked.query)

    @anew
    @threads_for(1)
    def path(self, start: str, goal: str, songs: int = 10, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """So many songs from one to another, both included, each nearer to the goal in HTCL space than the one before.

        No step is larger than one in a hundred random pairs is apart, where the catalogue allows; else the largest is
        as small as it can be, and a warning says so. score: the cosine to the goal, which rises. Raises UnknownIdError,
        UserError where an end has neither audio nor text, or both are one song.
        """
        names = [arguments.text("start", start), arguments.text("goal", goal)]
        wants, ends = Wishes.of("path", **wishes), self._standing(names, self.dataset.track_ids.to_rows(names))
        if (songs := arguments.count("songs", songs)) < 2 or len(self._groups.kept(ends)) < 2:
            raise UserError("a path leads from one song to another", "Give two different songs, and 2 songs or more.")
        for name, vector in zip(names, self._vectors(ends), strict=True):
            if not vector.any():
                raise _unheard(name)
        asked = self._asked(Query(exclude=ends), wants, self._catalogue.allowed(wants))
        way = path_between(ends, self._htcl.near, asked, self._groups, songs, self._small_step)
        vectors, why = self._vectors(way), [Explanation(("htcl-stage2",), shares=(1.0,))] * len(way)
        reasons = ["the start", *(f"{step:.2f} from the song before" for step in sizes_of_steps(vectors))]
        return self._name(way, vectors @ vectors[-1], why, reasons=reasons)

    @anew
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
        if asked.query.allowed is not None or len(np.setdiff1d(asked.query.exclude, self._gone)):
            silent = self._catalogue.leaves_out_silent_songs(wants)
            hint = " (songs without an audio file are left out unless playable is False)" if silent else ""
            log.warning(f'none of the songs that may be answered is called or described by "{words}"{hint}')
            return []
        if self.words.refused:
            raise UserError(f'no song is called or described by "{words}"; {self.words.refused}', WORDS_HINT)
        unknown = " ".join(f'"{word}"' for word in self._word_search.index.unknown(words))
        log.warning(f'no song is called or described by "{words}": nobody knows {unknown or "these words"}')
        return []

    @anew
    @threads_for(1)
    def explain(
        self, songs: Sequence[Recommendation], heard: str | Sequence[str] = (), most: int = 3
    ) -> list[Evidence]:
        """What speaks for each song of an answer: the share of each source, and the `most` nearest played songs and
        words. heard: the listener who was answered, or the songs that were given. Raises UnknownIdError.
        """
        played = self._listeners.heard(heard) if isinstance(heard, str) else np.unique(self._seeds(heard))
        vectors = self._vectors(self._rows(songs)) if self.words.learned else np.zeros((len(songs), 1), np.float32)
        places = self._vectors(played) if self.words.learned else np.zeros((len(played), 1), np.float32)
        near = nearest_names(self.dataset.track_ids.to_names(played), places, vectors, most)
        words = self._labels.nearest(vectors, most) if self.words.learned else [{} for _ in songs]
        return [
            Evidence(song.track_id, song.reason, dict(zip(song.sources, song.shares, strict=False)), *both)
            for song, *both in zip(songs, near, words, strict=True)
        ]

    @anew
    @threads_for(1)
    def popular_and_fresh(self, k: int = 20, **wishes: Unpack[WishFields]) -> list[Recommendation]:
        """For someone new: what most people play lately, and every fourth song one of the newest."""
        k, wants = arguments.count("k", k), Wishes.of("popular_and_fresh", **wishes)
        return self._filled([], self._asked(Query(), wants, self._catalogue.allowed(wants)), k)


def _unheard(name: str) -> UserError:
    return UserError(f'"{name}" has neither audio nor text, so nothing is known about how it sounds')
