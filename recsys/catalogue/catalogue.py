"""What wishes name: the songs of an artist or album, and which songs filters allow, as one mask for all sources.

Applied before sources take their best songs, so that a narrow filter leaves as many answers as the catalogue has.
"""

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.recordings import credited
from data.reporting import logger
from recsys.catalogue.labels import Labels
from recsys.wishes import Wishes

log = logger(__name__)
SEEDS = ("artist", "album")
DAY = "datetime64[D]"


class Catalogue:
    """The catalogue's values that wishes can name, looked at when a wish first names one."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._tracks = dataset, dataset.tracks
        self._count = len(dataset.track_ids)

    def allowed(self, wishes: Wishes) -> NDArray[np.bool_] | None:
        """(N,) songs that may be answered; None where all may, `blocked` aside.

        A song whose value is unknown does not pass a filter on it. Where none passes a warning says so. Raises
        UnknownIdError for songs, artists, genres, tags and languages that nobody has, UserError where no song has any.
        """
        masks = []
        if wishes.only is not None:
            listed = np.zeros(self._count, np.bool_)
            listed[self._dataset.track_ids.to_rows(wishes.only)] = True
            masks.append(listed)
        if wishes.blocked_artists:
            masks.append(~self.artists.any_of(wishes.blocked_artists, self._count))
        if wishes.genres:
            masks.append(self.genres.any_of(wishes.genres, self._count))
        if wishes.languages:
            masks.append(self._languages.any_of(wishes.languages, self._count))
        masks += [self.tags.any_of([tag], self._count) for tag in wishes.tags]
        if wishes.released is not None:
            masks.append(_within(_known("release", self._released), *map(_as_day, wishes.released)))
        if wishes.duration is not None:
            masks.append(_within(_known("length", self._durations), *wishes.duration))
        if wishes.playable and not self._with_audio.any():
            raise UserError("no song has an audio file", "Leave playable out.")
        if self.leaves_out_silent_songs(wishes):
            masks.append(self._with_audio)
        if not masks:
            return None
        allowed = np.logical_and.reduce(masks)
        if not allowed.any():
            log.warning("no song of the catalogue has all that is wished for")
        return np.asarray(allowed)

    def leaves_out_silent_songs(self, wishes: Wishes) -> bool:
        """Whether some songs have an audio file, others have none, and these are not wished for."""
        return wishes.playable is not False and bool(self._with_audio.any()) and not self._with_audio.all()

    def seeds(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Rows of songs in their order: an id names a song, `artist:NAME` and `album:NAME` all of theirs.

        Raises UnknownIdError.
        """
        rows: list[int] = []
        for name in names:
            kind, colon, label = name.partition(":")
            if colon and kind in SEEDS and self._dataset.track_ids.find(name) is None:
                rows += (self.artists if kind == "artist" else self.albums).songs(label).tolist()
            else:
                rows += self._dataset.track_ids.to_rows([name]).tolist()
        return np.array(rows, np.int32)

    @cached_property
    def artists(self) -> Labels:
        """As the catalogue writes them; a song also counts for the artist it leads with and for its guests."""
        return Labels.listed("artist", [credited(artist) for artist in self._tracks["artist"].to_list()])

    @cached_property
    def albums(self) -> Labels:
        return Labels.of("album", self._tracks["album"])

    @cached_property
    def genres(self) -> Labels:
        return Labels.of("genre", self._tracks["genres"])

    @cached_property
    def tags(self) -> Labels:
        """Tags, genres and languages: an instrumental song may say so in any of them."""
        return Labels.of("tag", *(self._tracks[name] for name in ("tags", "genres", "language")))

    @cached_property
    def _languages(self) -> Labels:
        return Labels.of("language", self._tracks["language"])

    @cached_property
    def _released(self) -> NDArray[np.datetime64]:
        return np.array(self._tracks["release_date"].to_list(), DAY)

    @cached_property
    def _durations(self) -> NDArray[np.float64]:
        return np.array(self._tracks["duration_s"].to_list(), np.float64)

    @cached_property
    def _with_audio(self) -> NDArray[np.bool_]:
        return self._tracks["audio_path"].is_not_null().to_numpy()


def _as_day(day: date | None) -> np.datetime64 | None:
    return None if day is None else np.datetime64(day, "D")


def _known(what: str, values: NDArray[Any]) -> NDArray[Any]:
    """The values. Raises UserError where all of them are unknown (NaN, NaT)."""
    if not (values == values).any():
        raise UserError(f"the {what} of no song is known", "Leave the wish out.")
    return values


def _within(values: NDArray[Any], least: Any, most: Any) -> NDArray[np.bool_]:
    """Both ends included; what is unknown (NaN, NaT) is never within."""
    found = values == values
    if least is not None:
        found &= values >= least
    if most is not None:
        found &= values <= most
    return np.asarray(found)
