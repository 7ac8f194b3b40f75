import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from data.errors import DamagedError, UserError
from data.storage.atomic_files import write_text
from data.storage.hashing import inside
from data.storage.manifest import MANIFEST, Manifest, is_current, read_manifest, verify
from data.storage.publishing import adopt, publishing
from data.storage.workspace import Workspace

PATIENCE_S = 30


def publish(target: Path, word: str, **told: dict[str, object]) -> Manifest:
    """A folder of three files that say `word`."""
    with publishing(target, "test", settings={"word": word}, **told) as draft:
        (draft.folder / "sub").mkdir()
        for name in ("a.txt", "b.txt", "sub/c.txt"):
            (draft.folder / name).write_text(f"{word} in {name}")
        draft.facts["word"] = word
    return verify(target)


def word_of(target: Path) -> str:
    """What a published folder says; it says one thing only."""
    verify(target)
    (word,) = {path.read_text().split()[0] for path in target.rglob("*.txt")}
    return word


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "space" / "made"


class TestPublishing:
    def test_what_was_filled_is_there_with_its_manifest(self, target):
        manifest = publish(target, "new", made_from={"dataset": "abc"})
        assert (manifest.step, manifest.made_from) == ("test", {"dataset": "abc"})
        assert (manifest.settings, manifest.facts) == ({"word": "new"}, {"word": "new"})
        assert set(manifest.files) == {"a.txt", "b.txt", "sub/c.txt"}
        assert set(manifest.versions) >= {"torch", "polars"}
        assert os.listdir(target.parent) == ["made"]

    def test_nothing_is_visible_before_the_end(self, target):
        with publishing(target, "test") as draft:
            (draft.folder / "a.txt").write_text("half")
            assert read_manifest(target) is None
            assert not target.exists()
        assert (target / "a.txt").exists()

    def test_a_new_version_replaces_the_old_one_whole(self, target):
        publish(target, "old")
        with publishing(target, "test") as draft:
            (draft.folder / "only.txt").write_text("new")
        assert sorted(os.listdir(target)) == [MANIFEST, "only.txt"]

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_an_error_in_the_middle_leaves_the_old_version(self, target, error):
        publish(target, "old")
        with pytest.raises(error), publishing(target, "test") as draft:  # noqa: PT012
            (draft.folder / "a.txt").write_text("new")
            raise error
        assert word_of(target) == "old"
        assert os.listdir(target.parent) == ["made"]

    def test_an_error_in_the_middle_of_the_first_leaves_nothing(self, target):
        with pytest.raises(RuntimeError), publishing(target, "test"):
            raise RuntimeError
        assert read_manifest(target) is None
        assert os.listdir(target.parent) == []

    def test_an_error_while_swapping_leaves_the_old_version(self, target, monkeypatch):
        publish(target, "old")
        move = os.replace

        def full(source: Path, to: Path) -> None:
            if to == target and source.name.endswith(".new"):
                raise OSError("disk on fire")
            move(source, to)

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="on fire"):
            publish(target, "new")
        assert target.is_dir()
        assert word_of(target) == "old"

    def test_the_same_content_made_the_same_way_has_the_same_fingerprint(self, tmp_path):
        first, again = (publish(tmp_path / name, "same") for name in "xy")
        assert first.fingerprint == again.fingerprint
        assert publish(tmp_path / "z", "other").fingerprint != first.fingerprint
        assert publish(tmp_path / "z", "same", made_from={"dataset": "b"}).fingerprint != first.fingerprint
        assert publish(tmp_path / "z", "same", trained_on={"split": "b"}).fingerprint != first.fingerprint


KILL = """
import json, os, signal, sys
from pathlib import Path
from data.storage.manifest import read_manifest, verify
from data.storage.publishing import publishing

CHANGES = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree")

def publish(target, word):
    with publishing(target, "test") as draft:
        for name in "ab":
            (draft.folder / name).write_text(word)

def publish_and_die(target, at):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event in CHANGES or (event == "open" and sys.argv[1] in str(arguments[0])):
            seen += 1
        if seen == at:
            seen += 1  # the kill is an event too
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    publish(target, "new")
    os._exit(0)

def word_of(target):
    if read_manifest(target) is None:
        return None
    verify(target)
    (word,) = {(target / name).read_text() for name in "ab"}
    return word

publish(Path(sys.argv[1]) / "warm" / "made", "up")
for old in (None, "old"):
    at, killed = 1, True
    while killed:
        target = Path(sys.argv[1]) / f"{old}-{at}" / "made"
        if old:
            publish(target, old)
        if (child := os.fork()) == 0:
            publish_and_die(target, at)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        left = word_of(target)
        publish(target, "next")
        print(json.dumps([old, killed, left, word_of(target), os.listdir(target.parent)]), flush=True)
        at += 1
"""


def test_killed_at_any_moment_leaves_old_or_new_and_the_next_run_succeeds(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    for old, killed, left, after, files in outcomes:
        assert left in ({old, "new"} if killed else {"new"})
        assert after == "next"
        assert files == ["made"]
    # Deaths on both sides of the swap were tried.
    assert {(old, left) for old, killed, left, *_ in outcomes if killed} >= {
        (None, None),
        ("old", "old"),
        ("old", "new"),
    }


WRITE = """
import sys
from pathlib import Path
from data.storage.publishing import publishing

for n in range(int(sys.argv[2])):
    with publishing(Path(sys.argv[1]), "test") as draft:
        (draft.folder / "a").write_text(str(n))
"""


def test_a_reader_beside_a_writer_always_sees_a_version_and_never_stops_the_writer(target):
    publish(target, "old")
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(target), "60"], stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + PATIENCE_S
        while writer.poll() is None and time.monotonic() < end:
            assert read_manifest(target) is not None
    finally:
        writer.kill()
    assert writer.returncode == 0, writer.stderr.read()
    assert (target / "a").read_text() == "59"


class TestVerify:
    @pytest.mark.parametrize("name", ["a.txt", "sub/c.txt"])
    @pytest.mark.parametrize("bit", [0, 7, 40])
    def test_a_flipped_bit_is_refused_with_the_file_named(self, target, name, bit):
        publish(target, "old")
        flip(target / name, bit)
        with pytest.raises(DamagedError, match=rf"{name} is damaged") as raised:
            verify(target)
        assert f"Remove {target}" in str(raised.value)

    @pytest.mark.parametrize("name", ["b.txt", "sub/c.txt"])
    def test_a_truncated_file_is_refused_with_the_file_named(self, target, name):
        publish(target, "old")
        os.truncate(target / name, 3)
        with pytest.raises(DamagedError, match=rf"{name} has 3 bytes"):
            verify(target)

    @pytest.mark.parametrize("name", ["b.txt", "sub/c.txt"])
    def test_a_missing_file_is_refused_with_the_file_named(self, target, name):
        publish(target, "old")
        (target / name).unlink()
        with pytest.raises(DamagedError, match=rf"{name} is missing"):
            verify(target)

    def test_no_flipped_bit_of_the_manifest_changes_what_is_believed(self, target):
        published = publish(target, "old")
        path = target / MANIFEST
        good = path.read_bytes()
        for bit in range(0, 8 * len(good), 37):
            flip(path, bit)
            with suppress(DamagedError):
                assert verify(target).model_copy(update={"checksum": published.checksum}) == published
            path.write_bytes(good)

    def test_a_truncated_manifest_is_refused(self, target):
        publish(target, "old")
        os.truncate(target / MANIFEST, 50)
        with pytest.raises(DamagedError, match=MANIFEST):
            verify(target)

    def test_facts_that_json_cannot_say_do_not_look_like_damage(self, target):
        with publishing(target, "test") as draft:
            draft.facts |= {"loss": float("nan"), "rate": 0.1 + 0.2, "path": Path("x"), "gap": timedelta(minutes=1)}
        assert verify(target).facts["rate"] == 0.1 + 0.2

    def test_where_nothing_is_published_it_says_what_to_run(self, target):
        with pytest.raises(UserError, match=r"nothing is published in .*\n.*recsys.build_index"):
            verify(target)


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


class TestIsCurrent:
    MADE_FROM = {"dataset": "abc"}
    SETTINGS = {"gap": timedelta(minutes=3), "path": Path("x"), "sizes": (1, 2), "rate": 0.1}

    @pytest.fixture
    def made(self, target: Path) -> Path:
        with publishing(target, "test", self.MADE_FROM, self.SETTINGS) as draft:
            (draft.folder / "a.txt").write_text("content")
        return target

    def test_made_from_the_same_with_the_same_settings(self, made):
        assert is_current(made, self.MADE_FROM, self.SETTINGS)

    def test_other_inputs_or_settings_are_not(self, made):
        assert not is_current(made, {"dataset": "b"}, self.SETTINGS)
        assert not is_current(made, self.MADE_FROM | {"more": "b"}, self.SETTINGS)
        assert not is_current(made, self.MADE_FROM, self.SETTINGS | {"rate": 0.2})
        assert not is_current(made, self.MADE_FROM, {})

    def test_what_is_not_there_is_not(self, target):
        assert not is_current(target, {}, {})

    @pytest.mark.parametrize("name", ["a.txt", MANIFEST])
    def test_a_truncated_or_missing_file_is_not(self, made, name):
        os.truncate(made / name, 2)
        assert not is_current(made, self.MADE_FROM, self.SETTINGS)
        (made / name).unlink()
        assert not is_current(made, self.MADE_FROM, self.SETTINGS)


class TestInside:
    @pytest.mark.parametrize("name", ["a", "a/b.flac", "a/../b", "..a", "./a", "a b/ü"])
    def test_what_stays_is_resolved(self, tmp_path, name):
        assert inside(tmp_path, name) == (tmp_path / name).resolve()

    @pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc/passwd", "link/x"])
    def test_refuses_to_leave(self, tmp_path, name):
        base = tmp_path / "base"
        base.mkdir()
        (base / "link").symlink_to(tmp_path)
        with pytest.raises(UserError, match="leaves"):
            inside(base, name)

    def test_a_neighbour_with_the_same_beginning_is_outside(self, tmp_path):
        with pytest.raises(UserError):
            inside(tmp_path / "base", "../base-2/x")


def test_written_text_replaces_the_old_one_and_leaves_nothing_beside(tmp_path):
    for text in ("first", "second ü"):
        write_text(tmp_path / "x.json", text)
        assert (tmp_path / "x.json").read_text("utf-8") == text
    assert os.listdir(tmp_path) == ["x.json"]


SAME = {"word": "same"}


class TestAdopt:
    def test_a_copy_of_what_was_made_from_the_same_is_published(self, tmp_path):
        made = publish(tmp_path / "a", "same", made_from={"data": "1"})
        assert not adopt(tmp_path / "a", tmp_path / "b", {"data": "2"}, SAME)
        assert not (tmp_path / "b").exists()
        assert adopt(tmp_path / "a", tmp_path / "b", {"data": "1"}, SAME)
        assert verify(tmp_path / "b").fingerprint == made.fingerprint
        assert not adopt(tmp_path / "a", tmp_path / "a", {"data": "1"}, SAME)

    def test_a_damaged_one_is_named_and_not_copied(self, tmp_path):
        publish(tmp_path / "a", "same", made_from={"data": "1"})
        file = tmp_path / "a" / "b.txt"
        file.write_bytes(bytes(len(file.read_bytes())))
        with pytest.raises(DamagedError, match=file.name):
            adopt(tmp_path / "a", tmp_path / "b", {"data": "1"}, SAME)
        assert not (tmp_path / "b").exists()


def test_what_settings_are_chosen_with_lies_apart_on_the_same_data(tmp_path):
    space = Workspace(tmp_path)
    tuning = space.tuning
    assert (tuning.dataset, tuning.split, tuning.mels) == (space.dataset, space.split, space.mels)
    apart = {tuning.models, tuning.encoder("preference"), tuning.vectors("semantic"), tuning.baseline("ease")}
    assert all(path.is_relative_to(tmp_path / "tuning") for path in apart)
    assert tuning.scratch("train") != space.scratch("train")
    assert tuning.published == space


def test_scratch_is_kept_until_it_is_discarded(tmp_path):
    space = Workspace(tmp_path)
    (space.scratch("stage 1") / "state").write_text("half")
    assert (space.scratch("stage 1") / "state").read_text() == "half"
    space.discard_scratch("stage 1")
    assert list(space.scratch("stage 1").iterdir()) == []
