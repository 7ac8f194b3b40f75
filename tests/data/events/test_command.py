"""`python -m data.events`: what is typed or read from a file is stored, counted and listed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from data.dataset import Dataset
from data.errors import UserError
from data.events.__main__ import app
from data.events.store import EventStore

Run = Callable[..., Result]


@pytest.fixture
def world(publish: Callable[..., Dataset]) -> Dataset:
    """Songs a, b and `artist:odd`."""
    return publish(tracks=pl.DataFrame({"track_id": ["a", "b", "artist:odd"]}))


@pytest.fixture
def run(world: Dataset) -> Run:
    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments, "-w", str(world.root)])
        if isinstance(result.exception, UserError):
            raise result.exception
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def stored(world: Dataset) -> Callable[[], list[tuple[Any, ...]]]:
    """Kind, listener, song, share and detail of each event."""
    return lambda: [
        (e.kind, e.user_id, e.track_id, e.played_ratio, e.detail)
        for e in EventStore(world.root / "events.sqlite").since(0)
    ]


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def test_each_command_stores_its_event(run: Run, stored: Callable[[], list[tuple[Any, ...]]]) -> None:
    run("listen", "u", "a", "--ratio", "0.5", "--at", "2026-05-01T12:00:00Z")
    run("feedback", "u", "a", "like")
    run("block", "u", "artist:ABBA")
    run("block", "u", "artist:odd")
    run("unblock", "u", "artist:ABBA")
    run("remove", "a", "b", "--reason", "rights")
    run("restore", "b")
    run("add", "n", "--title", "New", "--artist", "Who")
    assert stored() == [
        ("listen", "u", "a", 0.5, None),
        ("feedback", "u", "a", None, "like"),
        ("block", "u", None, None, "ABBA"),
        ("block", "u", "artist:odd", None, None),
        ("unblock", "u", None, None, "ABBA"),
        ("remove", None, "a", None, "rights"),
        ("remove", None, "b", None, "rights"),
        ("restore", None, "b", None, ""),
        ("add", None, "n", None, '{"track_id":"n","title":"New","artist":"Who"}'),
    ]
    listed = told(run("list", "--json", "-n", "3"))
    assert [event["number"] for event in listed] == [7, 8, 9]
    assert [event["track_id"] for event in told(run("list", "--taken-down", "--json"))] == ["a"]
    assert [event["kind"] for event in told(run("list", "--kind", "block", "--json"))] == ["block", "block"]
    assert "rights" in run("list").stdout


def test_the_same_twice_and_unknown_songs_are_counted(run: Run) -> None:
    same = ("listen", "u", "nowhere", "--at", "2026-05-01T12:00:00Z", "--json")
    first, second = told(run(*same)), told(run(*same))
    assert (first["new"], first["unknown"], first["unknown_song"]) == (1, 1, "nowhere")
    assert (second["new"], second["repeated"]) == (0, 1)
    assert told(run("remove", "a", "--json"))["unknown"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("listen", "u"), "no listen"),
        (("listen", "u", "a", "--ratio", "7"), "played_ratio"),
        (("listen", "u", "a", "--at", "once upon a time"), "at: "),
        (("listen", "u", "a", "--at", "2999-01-01"), "wrong clock"),
        (("listen", "u", "a", "--file", "x.csv"), "both"),
        (("block", "u", "artist:"), "empty"),
        (("remove", "a", " "), "track_id: empty"),
        (("add",), "no song"),
        (("mend",), "no event store"),
    ],
)
def test_what_means_nothing_is_an_error_and_nothing_is_stored(
    run: Run, stored: Callable[[], list[tuple[Any, ...]]], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run(*arguments)
    assert stored() == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["remove", "a", "-w", str(tmp_path / "typo")])
    assert isinstance(result.exception, UserError)
    assert not (tmp_path / "typo").exists()


PLAYS = """who,song,when,played_ratio,feedback
u,a,2026-05-01 12:00,1.0,
u,b,2026-05-01 12:05,0.1,skip
v,a,soon,1.0,
,a,2026-05-01 12:00,1.0,
u,zz,2026-05-02 12:00,,love
"""


def test_plays_of_a_file_are_stored_once_and_bad_rows_counted(
    run: Run, stored: Callable[[], list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    file = tmp_path / "plays.csv"
    file.write_text(PLAYS)
    columns = ("--map", "user_id=who,track_id=song", "--map", "listened_at=when", "--json")
    first = told(run("listen", "--file", str(file), *columns))
    assert (first["new"], first["repeated"], first["unknown"]) == (3, 0, 1)
    assert sum(each["count"] for each in first["refused"]) == 2
    assert all(each["example"] for each in first["refused"])
    ratio = pytest.approx(0.1)
    assert stored() == [
        ("listen", "u", "a", 1.0, None),
        ("feedback", "u", "b", ratio, "skip"),
        ("feedback", "u", "zz", None, "like"),
    ]
    again = told(run("listen", "--file", str(file), *columns))
    assert (again["new"], again["repeated"]) == (0, 3)


def test_songs_of_a_file(run: Run, stored: Callable[[], list[tuple[Any, ...]]], tmp_path: Path) -> None:
    file = tmp_path / "songs.jsonl"
    file.write_text(
        '{"track_id": "n", "title": "N", "genres": ["x", "y"], "release_date": "2020"}\n{"title": "no id"}\n'
    )
    assert told(run("add", "--file", str(file), "--json"))["new"] >= 1
    row = json.loads(stored()[0][-1])
    assert (row["track_id"], row["genres"], row["release_date"]) == ("n", ["x", "y"], "2020-01-01")


def test_a_damaged_store_is_mended(run: Run, world: Dataset) -> None:
    run("remove", "a")
    (world.root / "events.sqlite").write_bytes(b"")
    with pytest.raises(UserError, match="mend"):
        run("list")
    found = told(run("mend", "--json"))
    assert (found["saved"], found["lost"]) == (0, 0)
    assert Path(found["aside"]).is_file()
    run("remove", "b")
    assert [event["track_id"] for event in told(run("list", "--taken-down", "--json"))] == ["b"]
