"""What a recommender is told while it answers: stored for good before the call returns, and in the next answer."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import polars as pl

from data.dataset import Dataset
from data.errors import UserError
from data.events.kinds import Refused, read_events, row_of_listens
from data.events.outcome import Outcome
from data.reporting import logger
from recsys.live.changes import Changes

log = logger(__name__)
Word = Literal["like", "dislike", "skip", "block", "unblock"]
ARTIST = "artist:"
Rows = Iterable[Mapping[str, Any]] | pl.DataFrame


class Told:
    """Events of one workspace, from the process that answers, or from any other by `python -m data.events`."""

    dataset: Dataset
    _changes: Changes

    def add_listens(self, listens: Rows) -> Outcome:
        """Rows of the listens table: user_id, track_id and, if known, listened_at (now where not given), played_ratio,
        feedback; and an id.

        The same row is stored once if it has a time or an id. Rows that say nothing are counted and passed over;
        listens of songs nobody knows yet are kept, and count once a dataset has the song. Raises UserError where the
        store is locked or full.
        """
        return self._tell(None, (self._known(row_of_listens(row)) for row in _records(listens)))

    def add_feedback(
        self,
        user_id: str,
        track_id: str,
        feedback: Word,
        at: datetime | str | None = None,
        id: str | None = None,
    ) -> Outcome:
        """A like, dislike or skip; `block` keeps a song, or all by `artist:NAME`, from this listener for ever, and
        `unblock` ends that. at: when; now where it is not given. Raises UserError for anything else.
        """
        record = {name: value for name, value in (("user_id", user_id), ("at", at), ("id", id)) if value is not None}
        if feedback in ("block", "unblock"):
            is_song = not track_id.startswith(ARTIST) or self.dataset.track_ids.find(track_id) is not None
            named = {"track_id": track_id} if is_song else {"artist": track_id.removeprefix(ARTIST)}
            return self._tell(feedback, [self._known({**record, **named})], alone=True)
        return self._tell("feedback", [self._known({**record, "track_id": track_id, "feedback": feedback})], alone=True)

    def remove_tracks(self, ids: Sequence[str], reason: str = "") -> Outcome:
        """Take songs down: from now on they are in no answer of any process, nor in a later dataset, until restored.

        Songs nobody knows are kept on the list, for they may come later; a warning names them.
        """
        return self._tell("remove", [self._known({"track_id": name, "reason": reason}) for name in _ids(ids)])

    def restore_tracks(self, ids: Sequence[str], reason: str = "") -> Outcome:
        """End takedowns: songs of the open dataset are answered at once, others after the next build."""
        return self._tell("restore", [self._known({"track_id": name, "reason": reason}) for name in _ids(ids)])

    def add_tracks(self, tracks: Rows) -> Outcome:
        """New songs, or more of known ones: rows of the tracks table. They are answered after the next build."""
        records = ({name: value for name, value in row.items() if value is not None} for row in _records(tracks))
        return self._tell("add", [{"track": record} for record in records])

    def _tell(self, kind: str | None, records: Iterable[Mapping[str, Any]], alone: bool = False) -> Outcome:
        """alone: one record, which must be right."""
        events, refused = read_events(kind, records)
        if alone and refused.total:
            raise UserError(f"{kind}: {next(iter(refused.count))}", f"What was given: {_first(refused)}")
        new = self._changes.store.append(events)
        self._changes.look()
        songs = [song for event in events if (song := event.names) is not None]
        unknown = [song for song in songs if song not in self.dataset.track_ids]
        outcome = Outcome(new, len(events) - new, refused, len(unknown), unknown[0] if unknown else "")
        for line in outcome.remarks():
            log.warning(line)
        return outcome

    def _known(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ids as the dataset writes them, where they differ by blanks or the form of accents."""
        same = dict(record) if isinstance(record, Mapping) else record
        for name, ids in (("user_id", self.dataset.user_ids), ("track_id", self.dataset.track_ids)):
            if (
                isinstance(same, dict)
                and isinstance(value := same.get(name), str)
                and (row := ids.find(value)) is not None
            ):
                same[name] = ids.names[row]
        return same


def _records(rows: Rows) -> Iterable[Mapping[str, Any]]:
    return rows.iter_rows(named=True) if isinstance(rows, pl.DataFrame) else rows


def _ids(ids: Sequence[str]) -> Sequence[str]:
    return [ids] if isinstance(ids, str) else ids


def _first(refused: Refused) -> str:
    return next(iter(refused.examples.values()))
