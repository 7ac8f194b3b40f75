"""The events of a workspace put into the tables that its imports make.

In memory, as far as there are events at all: a catalogue of 10^8 listens that also takes events needs some 10 GB here.
"""

from pathlib import Path
from typing import Any

from data.events.folding import folded
from data.events.store import EventStore
from data.reporting import logger
from data.storage.parquet import read_parquet
from data.tables import SCHEMAS

log = logger(__name__)


def put_in(folder: Path, store: EventStore) -> dict[str, Any]:
    """Put all events into the tables of a folder; returns the facts that are others then.

    The files are replaced, never written into: their other names stay what they are.
    """
    if not store.last:
        return {}
    found = folded({name: read_parquet(folder / f"{name}.parquet") for name in SCHEMAS}, store)
    for name, frame in found.tables.items():
        aside = folder / f"{name}.new"
        frame.write_parquet(aside)
        aside.replace(folder / f"{name}.parquet")
    for row in found.remarks.iter_rows(named=True):
        log.warning(f"  events      {row['what']}: {row['rows']:,} x {row['reason']}, e.g. {row['example']}")
    rows = {name: frame.height for name, frame in found.tables.items()}
    return {"rows": rows, "listeners": found.tables["listens"]["user_id"].n_unique(), "events_upto": found.last}
