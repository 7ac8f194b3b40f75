"""Those of whom little is known: nothing but the session, the first half, or three plays may stand in the question."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data.dataset import POSITIVE, Dataset
from data.listening.sessions import sessions
from data.split import PARTS, Split, SplitSettings, ensure_split
from data.storage.workspace import Workspace
from recsys.tasks import TASKS, UNTUNED, HeldOut, held_out, tuned_for

START = datetime(2025, 1, 1, tzinfo=UTC)
World = tuple[Dataset, Split]


@pytest.fixture(scope="module")
def world(fixed_world) -> World:
    _, dataset, split = fixed_world
    return dataset, split


@pytest.fixture
def newcomers(publish: Callable[..., Dataset]) -> World:
    """Nine listeners over 90 days, a play a day; three more begin in the last days, as `new-0` to `new-2`."""
    rows = [
        (f"old-{user}", f"t{(7 * user + day) % 30}", START + timedelta(days=day, minutes=user))
        for user in range(9)
        for day in range(90)
    ]
    rows += [
        (f"new-{user}", f"t{(user + place) % 30}", START + timedelta(days=86, hours=1 + place))
        for user in range(3)
        for place in range(4 + 2 * user)
    ]
    dataset = publish(listens=pl.DataFrame(rows, ["user_id", "track_id", "listened_at"], orient="row"))
    return dataset, ensure_split(Workspace(dataset.root), dataset)


def targets_of(question: HeldOut, query: int) -> list[int]:
    start, stop = question.targets.offsets[query : query + 2]
    return question.targets.tracks[start:stop].tolist()


def plays_of(world: World, user: int, part: str) -> pl.DataFrame:
    dataset, split = world
    plays = dataset.listens.with_columns(wanted=POSITIVE, part=pl.Series(split.listens))
    return plays.filter(pl.col("user") == user, pl.col("part") == PARTS.index(part))


def test_every_untuned_task_takes_the_settings_of_a_tuned_one():
    assert set(UNTUNED.values()) <= set(TASKS)
    assert not set(UNTUNED) & set(TASKS)
    assert tuned_for("session") == "next-song"
    assert all(tuned_for(task) == task for task in TASKS)


@pytest.mark.parametrize("task", ["session", "new-user"])
def test_everything_is_aligned_and_nobody_is_named(world, task):
    question = held_out(*world, task, "test")
    assert question.queries
    assert len(question.queries) == len(question.targets) == len(question.groups)
    assert len(question.repeats) == len(question.targets.tracks)
    assert question.task == task
    for number, query in enumerate(question.queries):
        assert query.user is None
        assert len(query.history)
        assert len(query.history) == len(query.evidence)
        assert not np.isin(targets_of(question, number), query.exclude).any()
    sample = held_out(*world, task, "test", max_queries=5)
    assert len(sample.queries) <= 5
    again = held_out(*world, task, "test", max_queries=5)
    assert sample.targets.tracks.tolist() == again.targets.tracks.tolist()


def test_a_session_is_asked_for_with_its_beginning_and_nothing_else(world):
    dataset, split = world
    question = held_out(dataset, split, "session", "test")
    rows = sessions(dataset.listens).with_columns(wanted=POSITIVE, part=pl.Series(split.listens))
    at = 0
    for (session,), plays in rows.group_by("session", maintain_order=True):
        tracks = plays["track"].to_list()
        for place, (part, wanted) in enumerate(plays.select("part", "wanted").iter_rows()):
            if place == 0 or not wanted or part != PARTS.index("test"):
                continue
            assert question.queries[at].history.tolist() == tracks[:place], session
            assert targets_of(question, at) == [tracks[place]]
            assert question.repeats[at] == (tracks[place] in tracks[:place])
            assert question.groups[at] == plays["user"][0]
            at += 1
    assert at == len(question.queries) > 0


def test_of_a_new_user_three_plays_of_the_period_are_known(world):
    question = held_out(*world, "new-user", "test")
    for number, query in enumerate(question.queries):
        plays = plays_of(world, int(question.groups[number]), "test")
        assert query.history.tolist() == plays["track"].to_list()[:3]
        assert set(query.exclude) == set(query.history)
        rest = plays[3:].filter("wanted")["track"].to_list()
        assert targets_of(question, number) == sorted(set(rest) - set(query.history.tolist()))
    assert "as if new" in question.protocol


def test_cold_users_have_no_play_before_the_period(newcomers):
    dataset, split = newcomers
    question = held_out(dataset, split, "cold-user", "test")
    names = [dataset.user_ids.names[user] for user in question.groups]
    assert names == ["new-0", "new-1", "new-2"]
    seen = split.training(dataset).listens["user"]
    assert not np.isin(question.groups, seen.to_numpy()).any()
    for number, query in enumerate(question.queries):
        tracks = plays_of(newcomers, int(question.groups[number]), "test")["track"].to_list()
        half = len(tracks) // 2
        assert query.history.tolist() == tracks[:half]
        assert targets_of(question, number) == sorted(set(tracks[half:]) - set(tracks[:half]))
    assert held_out(dataset, split, "cold-user", "validation").queries == []


def test_where_everybody_was_there_before_no_cold_user_is_asked(world):
    assert held_out(*world, "cold-user", "test").queries == []


def test_leaving_the_last_play_out_says_that_it_leaks(small_world):
    workspace, dataset, _ = small_world
    split = ensure_split(workspace, dataset, SplitSettings(method="leave-last-out"))
    question = held_out(dataset, split, "next-song", "test")
    assert "LEAKS" in question.protocol
    for number, query in enumerate(question.queries):
        plays = dataset.listens.filter(user=query.user)["track"].to_list()
        assert targets_of(question, number) == plays[-1:]
        assert query.history.tolist() == plays[:-1][-100:]
    fair = held_out(dataset, ensure_split(workspace, dataset, SplitSettings()), "next-song", "test")
    assert "LEAKS" not in fair.protocol
