"""The dataset as it follows the imports: published when it changes, left alone when not, whole after any death."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from data.compose import compose
from data.dataset import Dataset, load_dataset, save_dataset
from data.errors import DamagedError, UserError
from data.events.kinds import Block, Listen, Remove, Restore
from data.events.store import EventStore
from data.imports.names import import_name
from data.imports.saving import save_import
from data.imports.shelf import held, hold, names_after
from data.storage.manifest import read_manifest, verify
from data.storage.workspace import Workspace
from data.tables import SCHEMAS, Imported


def songs(*ids: str, title: str = "Song") -> Imported:
    """A catalogue of these."""
    return Imported({"tracks": pl.DataFrame({"track_id": ids, "title": [f"{title} {name}" for name in ids]})})


def plays(*ids: str) -> Imported:
    """One listener's plays."""
    return Imported(
        {"listens": pl.DataFrame({"user_id": ["me"] * len(ids), "track_id": ids, "position": range(len(ids))})}
    )


def add(space: Workspace, imported: Imported, importer: str) -> Dataset:
    """As `data.prepare ... --add` does."""
    names = names_after(space, [importer], "add")
    save_import(space, imported, {"importer": importer})
    hold(space, names)
    compose(space)
    return load_dataset(space)


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """With one import, of songs a and b."""
    made = Workspace(tmp_path / "workspace")
    save_dataset(made, songs("a", "b"), {"importer": "one"})
    return made


def test_one_import_is_the_dataset_and_takes_no_room_twice(space):
    for table in SCHEMAS:
        assert (space.dataset / f"{table}.parquet").samefile(space.imports / "one" / f"{table}.parquet")
    assert held(space) == ["one"]


def test_several_are_merged_and_what_came_is_counted(space):
    dataset = add(space, plays("a", "c"), "two")
    assert dataset.track_ids.names == ("a", "b", "c")
    assert dataset.listens.height == 2
    facts = dataset.manifest.facts
    assert (facts["rows"]["tracks"], facts["listeners"], list(facts["imports"])) == (3, 1, ["one", "two"])
    save_import(space, songs("a", "d", title="Other"), {"importer": "one"})
    made = compose(space)
    assert made.changes.as_json() == {
        "tracks": {"new": 1, "changed": 1, "gone": 1},
        "listens": {"new": 0, "changed": 0, "gone": 0},
        "playlists": {"new": 0, "changed": 0, "gone": 0},
    }
    assert made.changes.in_words() == "tracks 1 new, 1 changed, 1 gone"
    assert made.manifest.fingerprint == load_dataset(space).fingerprint


def test_what_is_up_to_date_is_not_touched(space):
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in space.root.rglob("*") if path.is_file()}

    add(space, plays("a"), "two")
    before = stamps()
    assert not any(compose(space).changes.tables.values())
    after = stamps()
    written = {path.relative_to(space.root).as_posix() for path in after if after[path] != before.get(path)}
    assert written <= {".lock"}


def test_the_same_content_of_other_imports_keeps_its_fingerprint(space):
    before = load_dataset(space)
    stood = (space.dataset / "tracks.parquet").stat().st_ino
    dataset = add(space, songs("b"), "two")
    assert dataset.fingerprint == before.fingerprint
    assert list(dataset.manifest.facts["imports"]) == ["one", "two"]
    save_dataset(space, songs("a", "b"), {"importer": "another", "path": "/elsewhere"})
    assert load_dataset(space).fingerprint == before.fingerprint
    assert (space.dataset / "tracks.parquet").stat().st_ino == stood


def test_the_same_songs_in_another_order_are_another_dataset(space):
    before = load_dataset(space)
    save_dataset(space, songs("b", "a"), {"importer": "one"})
    after = load_dataset(space)
    assert after.track_ids.names == ("b", "a")
    assert after.fingerprint != before.fingerprint


def test_what_no_longer_counts_is_removed(space):
    add(space, plays("a"), "two")
    (space.imports / ".two.new").mkdir()
    save_dataset(space, songs("z"), {"importer": "three"})
    assert sorted(os.listdir(space.imports)) == ["list.json", "three"]
    assert load_dataset(space).track_ids.names == ("z",)


def before_imports(space: Workspace) -> None:
    """As a version without imports left its workspace."""
    shutil.copytree(space.imports / "one", space.root / "copy")
    shutil.rmtree(space.imports)
    shutil.rmtree(space.dataset)
    (space.root / "copy").rename(space.dataset)


def test_a_dataset_from_before_becomes_the_first_import(space):
    before_imports(space)
    before = load_dataset(space)
    compose(space)
    assert load_dataset(space).fingerprint == before.fingerprint
    assert held(space) == ["one"]
    assert add(space, songs("c"), "two").track_ids.names == ("a", "b", "c")


def test_other_data_needs_a_word(space):
    with pytest.raises(UserError, match=r"holds other data: one.*\n.*--add .*--replace "):
        names_after(space, ["two"], None)
    before_imports(space)
    with pytest.raises(UserError, match="holds other data: one"):
        names_after(space, ["two"], None)
    assert names_after(space, ["two"], "replace") == ["two"]
    assert names_after(space, ["two"], "add") == ["one", "two"]
    assert names_after(space, ["one"], None) == ["one"]
    assert names_after(space, ["one", "two"], None) == ["one", "two"]


def test_new_plays_may_name_songs_that_another_import_describes(space):
    more = Imported({**songs("c").tables, **plays("a", "c", "nowhere").tables})
    saved = save_import(space, more, {"importer": "two"}, known=load_dataset(space).tracks["track_id"])
    assert saved.closing.tally.rejected("listens") == 1
    hold(space, ["one", "two"])
    compose(space)
    dataset = load_dataset(space)
    assert dataset.track_ids.to_names(dataset.listens["track"]) == ["a", "c"]
    assert dataset.tracks["title"].to_list() == ["Song a", "Song b", "Song c"]


class TestEvents:
    NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def test_are_put_in_once_and_the_imports_stay_what_they_are(self, space):
        store = EventStore(space.events)
        store.append([Listen(user_id="me", track_id="a", at=self.NOON), Remove(track_id="b")])
        made = compose(space)
        assert made.changes.in_words() == "tracks 1 gone; listens 1 new"
        dataset = load_dataset(space)
        assert (dataset.track_ids.names, dataset.listens.height) == (("a",), 1)
        assert dataset.manifest.facts["rows"]["tracks"] == 1
        assert dataset.manifest.facts["listeners"] == 1
        verify(space.imports / "one")
        assert not any(compose(space).changes.tables.values())
        assert load_dataset(space).fingerprint == dataset.fingerprint
        store.append([Restore(track_id="b")])
        compose(space)
        assert load_dataset(space).track_ids.names == ("a", "b")

    def test_stay_when_an_import_comes_or_is_brought_again(self, space):
        EventStore(space.events).append([Remove(track_id="b")])
        assert add(space, songs("b", "c"), "two").track_ids.names == ("a", "c")
        save_import(space, songs("a", "b"), {"importer": "one"})
        compose(space)
        assert load_dataset(space).track_ids.names == ("a", "c")

    def test_that_say_nothing_of_the_tables_publish_nothing(self, space):
        before = load_dataset(space)
        EventStore(space.events).append([Block(user_id="me", track_id="a")])
        compose(space)
        after = load_dataset(space)
        assert after.fingerprint == before.fingerprint
        assert after.manifest.facts["events_upto"] == 1


def test_songs_of_two_importers_are_matched_and_of_one_are_not(space):
    def named(track: str) -> Imported:
        return Imported({"tracks": pl.DataFrame({"track_id": [track], "title": ["Sunflower"], "artist": ["Low"]})})

    save_dataset(space, named("a.mp3"), {"importer": "one"})
    assert add(space, named("low - sunflower"), "two").track_ids.names == ("a.mp3",)
    assert add(space, Imported({**plays("spotify:1").tables, **named("spotify:1").tables}), "three").tracks.height == 1
    save_import(space, named("b.mp3"), {"importer": "two", "path": "/elsewhere"})
    hold(space, ["two", import_name({"importer": "two", "path": "/elsewhere"})])
    compose(space)
    assert load_dataset(space).track_ids.names == ("low - sunflower", "b.mp3")


class TestDamage:
    def test_a_damaged_import_is_named_and_the_old_dataset_stays(self, space):
        add(space, songs("c"), "two")
        (space.imports / "two/tracks.parquet").unlink()
        shutil.copy(space.imports / "one/tracks.parquet", space.imports / "two/tracks.parquet")
        save_import(space, songs("d"), {"importer": "one"})
        with pytest.raises(DamagedError, match=r"imports/two/tracks.parquet .*\n.*data.prepare"):
            compose(space)
        assert load_dataset(space).track_ids.names == ("a", "b", "c")

    def test_a_removed_import_is_missed_aloud(self, space, caplog):
        add(space, songs("c"), "two")
        shutil.rmtree(space.imports / "two")
        compose(space)
        assert "two is missing" in caplog.text
        assert load_dataset(space).track_ids.names == ("a", "b")

    def test_a_damaged_dataset_is_made_again_of_whole_imports(self, space):
        add(space, songs("c"), "two")
        os.truncate(space.dataset / "tracks.parquet", 10)
        compose(space)
        assert load_dataset(space).track_ids.names == ("a", "b", "c")

    def test_nothing_to_make_it_of_is_the_users_to_mend(self, tmp_path):
        with pytest.raises(UserError, match=r"no import in .*\n.*data.prepare"):
            compose(Workspace(tmp_path))


def test_a_full_disk_leaves_what_was_there(space, monkeypatch):
    before = load_dataset(space)
    names = names_after(space, ["two"], "add")
    save_import(space, songs("c"), {"importer": "two"})
    hold(space, names)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("data.storage.publishing.write_text", full)
        with pytest.raises(OSError, match="No space left"):
            compose(space)
    assert load_dataset(space).fingerprint == before.fingerprint
    assert not list((space.root / ".work").iterdir())
    compose(space)
    assert load_dataset(space).track_ids.names == ("a", "b", "c")


def test_a_manifest_says_what_the_files_are(space):
    add(space, plays("a"), "two")
    assert verify(space.dataset) == read_manifest(space.dataset)
