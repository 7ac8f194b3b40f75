"""Events among a listener's plays say what they say as rows of the tables."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.dataset import POSITIVE, Dataset
from data.events.folding import folded
from data.events.kinds import Event, Feedback, Listen, Remove, Restore
from data.events.store import EventStore
from data.tables import Imported, validate
from recsys.listeners import Listeners
from recsys.live.changes import Changes
from recsys.live.plays import NO_PLAYS, with_events
from recsys.queries import EVIDENCE
from recsys.wishes import Wishes

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SONGS, USERS = ("a", "b", "c", "d"), ("u", "v", "new")
MOMENTS = st.integers(-3, 3).map(lambda hours: NOON + timedelta(hours=hours))


def tables() -> dict[str, pl.DataFrame]:
    played = [("u", "a", -2, None), ("u", "b", -1, "like"), ("u", "c", 0, "dislike"), ("v", "d", 0, None)]
    rows = {
        "user_id": [user for user, *_ in played],
        "track_id": [song for _, song, *_ in played],
        "listened_at": [NOON + timedelta(hours=hour) for _, _, hour, _ in played],
        "feedback": [said for *_, said in played],
    }
    listens = pl.DataFrame(rows, schema_overrides={"feedback": pl.String})
    return validate(Imported({"tracks": pl.DataFrame({"track_id": SONGS}), "listens": listens})).tables


def test_the_rules_are_those_of_the_tables(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.sqlite")
    said, ratios = ("like", "dislike", "skip"), (None, 0.0, 0.49, 0.5, 1.0)
    events: list[Event] = [Listen(user_id="u", track_id=f"{ratio}", played_ratio=ratio, at=NOON) for ratio in ratios]
    events += [Feedback.model_validate({"user_id": "u", "track_id": w, "feedback": w, "at": NOON}) for w in said]
    store.append(events)
    stored = list(store.since(0))
    frame = pl.DataFrame(
        {"played_ratio": [e.played_ratio for e in stored], "feedback": [e.detail for e in stored]},
        {"played_ratio": pl.Float32, "feedback": pl.String},
    )
    plays = with_events(NO_PLAYS, stored, range(len(stored)))
    assert plays.tracks.tolist() == list(range(len(ratios) + len(said)))
    assert plays.evidence.tolist() == frame.select(EVIDENCE).to_series().to_list()
    assert plays.wanted.tolist() == frame.select(POSITIVE).to_series().to_list()
    store.close()


EVENTS = st.lists(
    st.one_of(
        st.builds(
            Listen,
            user_id=st.sampled_from(USERS),
            track_id=st.sampled_from([*SONGS, "unknown"]),
            at=MOMENTS,
            played_ratio=st.sampled_from([None, 0.2, 1.0]),
        ),
        st.builds(
            Feedback,
            user_id=st.sampled_from(USERS),
            track_id=st.sampled_from([*SONGS, "unknown"]),
            at=MOMENTS,
            feedback=st.sampled_from(["like", "dislike", "skip"]),
        ),
        st.builds(Remove, track_id=st.sampled_from(SONGS[:3])),
        st.builds(Restore, track_id=st.sampled_from(SONGS[:3])),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=EVENTS, folded_first=st.integers(0, 14))
def test_what_is_known_of_a_listener_is_what_a_dataset_with_the_events_says(
    told: list[Event], folded_first: int, publish: Callable[..., Dataset], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = EventStore(tmp_path_factory.mktemp("store") / "events.sqlite")
    # A song that comes back must be in the dataset: a restored one is answered after the next build.
    store.append([*told[:folded_first], *(Restore(track_id=song) for song in SONGS)])
    early = folded(tables(), store)
    before = publish(**early.tables)
    before.manifest.facts["events_upto"] = early.last
    store.append(told[folded_first:])
    after = publish(**folded(tables(), store).tables)
    live, built = Listeners(before, Changes(before, store)), Listeners(after)
    for user, heard in product(USERS, (False, True)):
        one, other = (known.query(user, Wishes(heard=heard)) for known in (live, built))

        def names(rows: np.ndarray, dataset: Dataset) -> list[str]:
            return dataset.track_ids.to_names(rows.tolist())

        assert names(one.history, before) == names(other.history, after)
        for field in ("exclude", "disliked", "liked"):
            found = set(names(getattr(one, field), before))
            assert found == set(names(getattr(other, field), after)), field
        np.testing.assert_array_equal(
            one.evidence if one.evidence is not None else [], other.evidence if other.evidence is not None else []
        )
        assert set(names(live.heard(user), before)) == set(names(built.heard(user), after))
    store.close()
