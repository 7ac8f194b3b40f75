"""What has come since the dataset was made, for a recommender that is open: asked anew with every question.

Nothing is kept but the songs that are taken down: a listener's plays and blocks are looked up when they are asked for,
so that a store of any size costs an answer the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.events.store import EventStore, Stored
from data.reporting import logger
from recsys.catalogue.labels import plain
from recsys.queries import NOTHING

log = logger(__name__)
Name = TypeVar("Name", int, str)
UPTO = "events_upto"
"The fact of a dataset that names the latest event which is in its tables."


class Seen(NamedTuple):
    """What is known by now. counter: of the store. upto: events up to this number are in the dataset. gone: rows of the
    songs that are taken down, ascending, and `why` by row. blocks: whether any listener has blocked anything."""

    counter: tuple[int, int]
    upto: int
    gone: NDArray[np.int32]
    why: dict[int, Stored]
    blocks: bool

    @property
    def is_new(self) -> bool:
        """Whether anything has come since the dataset was made."""
        return self.counter[1] > self.upto


NEVER = Seen((-1, -1), 0, NOTHING, {}, False)


class Changes:
    """The events of a store as they bear on a dataset; `seen` is of the last look at it."""

    def __init__(self, dataset: Dataset, store: EventStore) -> None:
        """Raises DamagedError, UserError where the store cannot be read: what is taken down would be answered."""
        self.store, self._tracks, self._users = store, dataset.track_ids, dataset.user_ids
        self._upto = int(dataset.manifest.facts.get(UPTO, 0))
        self.seen, self._looking, self._told = NEVER, Lock(), ""
        self._look(store.counter)

    def look(self) -> None:
        """See what has come: some ten microseconds where nothing has. Every question begins with it (`anew`).

        Where the store can no longer be read, what was last seen stays, and a warning says so.
        """
        with self._as_far_as_can_be_read():
            counter = self.store.counter
            if counter != self.seen.counter:
                self._look(counter)

    @property
    def gone(self) -> NDArray[np.int32]:
        """Songs that are taken down, ascending; the same array until another one is."""
        return self.seen.gone

    def why_gone(self, track: int) -> str:
        """Of a song that is taken down: when, and the reason."""
        event = self.seen.why.get(track)
        if event is None:  # and restored meanwhile
            return "taken down"
        return f"taken down on {event.moment:%Y-%m-%d}" + (f": {event.detail}" if event.detail else "")

    def plays(self, user: str) -> list[tuple[Stored, int]]:
        """The listener's listens and feedback that are not in the dataset, in order, and their songs, which are."""
        found: list[Stored] = []
        if self.seen.is_new:
            with self._as_far_as_can_be_read():
                found = self.store.plays(self._spellings(user), self.seen.upto)
        return [(event, row) for event in found if (row := self._row(event)) is not None]

    def blocked(self, user: str) -> tuple[list[int], list[str]]:
        """Rows of songs, and artists, that the listener never wants."""
        if not self.seen.blocks:
            return [], []
        songs: dict[int, str] = {}
        artists: dict[str, str] = {}
        found: list[Stored] = []
        with self._as_far_as_can_be_read():
            found = self.store.blocks(self._spellings(user))
        for event in found:  # the last word counts
            if event.detail is not None:
                artists[plain(event.detail)] = event.kind
            elif (row := self._row(event)) is not None:
                songs[row] = event.kind
        return _blocked(songs), _blocked(artists)

    @contextmanager
    def _as_far_as_can_be_read(self) -> Iterator[None]:
        """Whoever is open goes on answering, and says once what is wrong."""
        try:
            yield
        except UserError as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning(f"answers know nothing of what came since: {error}")

    def _row(self, event: Stored) -> int | None:
        return None if event.track_id is None else self._tracks.find(event.track_id)

    def _spellings(self, user: str) -> Sequence[str]:
        """As asked for, and as the dataset writes it."""
        row = self._users.find(user)
        return list(dict.fromkeys([user] if row is None else [user, self._users.names[row]]))

    def _look(self, counter: tuple[int, int]) -> None:
        with self._looking:
            before = self.seen if self.seen.counter[0] == counter[0] else NEVER  # another file is read from its start
            why, gone = before.why, before.gone
            if events := self.store.takedowns(max(before.counter[1], 0)):
                why = dict(why)
                for event in events:
                    if (row := self._row(event)) is not None:
                        why.pop(row, None)
                        if event.kind == "remove":
                            why[row] = event
                gone = np.array(sorted(why), np.int32)
            # Of a store that ends before, a dataset cannot have been made.
            upto = self._upto if self._upto <= counter[1] else 0
            self.seen = Seen(counter, upto, gone, why, before.blocks or self.store.any_blocks)


def _blocked(last: Mapping[Name, str]) -> list[Name]:
    return [name for name, kind in last.items() if kind == "block"]


Method = TypeVar("Method", bound=Callable[..., Any])


def anew(method: Method) -> Method:
    """A method of who has `_changes`: looks at what has come, then answers."""

    @wraps(method)
    def looking(self: Any, *asked: Any, **wishes: Any) -> Any:
        self._changes.look()
        return method(self, *asked, **wishes)

    return cast(Method, looking)
