"""Worker processes: every file is answered for, whatever happens to the processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import encoders.encoding.decoding_pool as decoding
from encoders.encoding.decoding_pool import TransientError, in_order, read_files, read_here
from tests.encoders import readers

ROOT = Path(__file__).parents[3]


@pytest.fixture
def by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MIN_FOR_WORKERS", 0)


def paths_of(*stems: object) -> list[Path]:
    return [Path(f"{stem}.wav") for stem in stems]


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.usefixtures("by_processes")
class TestProcesses:
    def test_every_file_is_answered_once_by_another_process(self) -> None:
        found = dict(read_files(readers.process, paths_of(*range(30)), workers=2))
        assert sorted(found) == list(range(30))
        assert os.getpid() not in {int(result[0]) for result in found.values()}

    def test_a_file_that_kills_its_process_is_a_reject_and_the_others_go_on(self) -> None:
        paths = paths_of(*range(6), "killer", *range(7, 12), "bad", "bug-1", *range(14, 20))
        found = dict(read_files(readers.number, paths, workers=1))
        for position in {*range(20)} - {6, 12, 13}:
            assert found[position] == position
        assert found[6] == "killer.wav: decoding it ends the process (SIGKILL)"
        assert isinstance(found[6], TransientError)
        assert not isinstance(found[13], TransientError)
        assert found[12] == "bad.wav: no sound"
        assert found[13] == "bug-1.wav: decoding it ends the process (exit code 1)"

    def test_workers_that_do_not_start_are_an_error_and_not_rejects(self) -> None:
        with pytest.raises(RuntimeError, match=r"do not start \(exit code 3\)"):
            list(read_files(readers.Stillborn(), paths_of(1, 2), workers=1))

    def test_order_is_kept_where_it_is_asked_for(self) -> None:
        order = [*range(30, 10, -1), "killer", *range(10)]
        found = list(in_order(read_files(readers.number, paths_of(*order), workers=2)))
        assert [result if isinstance(result, str) else int(result[0]) for result in found] == [
            "killer.wav: decoding it ends the process (SIGKILL)" if stem == "killer" else stem for stem in order
        ]

    def test_a_file_that_is_tried_again_does_not_hold_up_the_others(self) -> None:
        paths = paths_of(0, 1, 2, "killer", *range(4, 60))
        answered = [position for position, _ in read_files(readers.slow_number, paths, workers=2)]
        assert answered.index(3) < 30

    def test_whoever_stops_listening_leaves_no_process_behind(self) -> None:
        results = read_files(readers.process, paths_of(*range(9)), workers=1)
        _, result = next(results)
        results.close()
        assert not is_alive(int(result[0]))

    def test_three_hours_take_the_memory_of_two_minutes(self, tmp_path: Path) -> None:
        path, block = tmp_path / "long.flac", np.zeros(8000 * 60, np.float32)
        block[::20] = 0.5
        with soundfile.SoundFile(path, "w", 8000, 1, format="flac") as file:
            for _ in range(180):
                file.write(block)
        [(_, (grown, frames))] = read_files(readers.megabytes, [path])
        assert frames == 1251
        assert grown < 200  # all of it would be 346 MB before anything is done with it


SCRIPT = """
import sys
from pathlib import Path
import encoders.encoding.decoding_pool as decoding
from tests.encoders import readers
print("script", flush=True)
decoding.MIN_FOR_WORKERS = 0
for _ in decoding.read_files(getattr(readers, sys.argv[1]), [Path(sys.argv[2])]):
    print("read")
"""


class TestScript:
    """A user's own, without a __main__ guard."""

    def start(self, tmp_path: Path, read: str) -> "subprocess.Popen[str]":
        (tmp_path / "script.py").write_text(SCRIPT)
        command = [sys.executable, tmp_path / "script.py", read, tmp_path / "song.wav"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)

    def reader_of(self, tmp_path: Path) -> int:
        """The worker's process, once it reads."""
        deadline = time.monotonic() + 60
        while not (found := [path for path in tmp_path.glob("song.*") if path.suffix[1:].isdigit()]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return int(found[0].suffix[1:])

    def test_it_runs_once(self, tmp_path: Path) -> None:
        out, err = self.start(tmp_path, "process").communicate(timeout=60)
        assert out.splitlines() == ["script", "read"]
        assert err == ""

    @pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
    def test_its_workers_go_with_it_and_say_nothing(self, tmp_path: Path, ending: signal.Signals) -> None:
        script = self.start(tmp_path, "asleep")
        worker = self.reader_of(tmp_path)
        os.killpg(script.pid, ending) if ending == signal.SIGINT else script.kill()  # the first as a terminal does
        _, err = script.communicate(timeout=60)
        deadline = time.monotonic() + 30
        while is_alive(worker):  # a killed parent's worker finishes its file
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert err.count("Traceback") == (ending == signal.SIGINT)


def test_few_files_are_read_here() -> None:
    found = dict(read_files(readers.process, paths_of(*range(5))))
    assert {int(result[0]) for result in found.values()} == {os.getpid()}


def test_threads_are_handed_a_bounded_number_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(decoding, "AT_ONCE", 4)
    results = read_here(begun.append, range(40))
    next(results)
    assert len(begun) == 4
    assert [position for position, _ in results] == list(range(1, 40))
    assert sorted(begun) == list(range(40))


def nested(folder: Path) -> int:
    """Read in a daemon, which may have no children."""
    decoding.MIN_FOR_WORKERS = 0
    found = dict(read_files(readers.process, [folder / "a.wav"]))
    (folder / "found").write_text(str(int(found[0][0]) == os.getpid()))
    return 0


def test_a_daemon_reads_by_threads(tmp_path: Path) -> None:
    daemon = multiprocessing.get_context("spawn").Process(target=nested, args=(tmp_path,), daemon=True)
    daemon.start()
    daemon.join(60)
    assert (tmp_path / "found").read_text() == "True"


def test_threads_that_start_workers_at_once_leave_the_main_module_where_it_was() -> None:
    main = sys.modules["__main__"]

    def again_and_again(_: int) -> None:
        for _ in range(20):
            with decoding._apart():
                time.sleep(0.001)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(again_and_again, range(4)))
    assert sys.modules["__main__"] is main


def test_no_memory_is_no_reason_to_give_a_file_up() -> None:
    def fails(_: int) -> int:
        raise MemoryError

    [(_, result)] = read_here(fails, [1])
    assert isinstance(result, TransientError)
    assert result == "no memory"
