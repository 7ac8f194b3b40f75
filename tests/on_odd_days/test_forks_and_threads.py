"""A process that forks after loading is answered, and so are many threads at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from recsys import Recommender
from recsys.candidates.content import vector_neighbours
from recsys.threads import threads_for

ASK = """
import os, signal, sys, time
from recsys import Recommender
rec = Recommender.load(sys.argv[1])
rec.words = rec.words.model_copy(update={"songs": 0, "learned": True})
users, song = list(rec.dataset.user_ids.names), rec.dataset.track_ids.names[0]
if sys.argv[2] == "warm":
    rec.recommend(users * 40, k=5); rec.similar(song); rec.search("sad piano")
asks = {
    "recommend": lambda: rec.recommend(users[1], k=5), "batch": lambda: rec.recommend(users * 40, k=5),
    "stranger": lambda: rec.recommend("nobody", k=5), "similar": lambda: rec.similar(song),
    "next": lambda: rec.next_song([song]), "search": lambda: rec.search("calm orchestral"),
    "title": lambda: rec.continue_playlist([], title="sad piano"),
    "filters": lambda: rec.similar(song, genres=rec._catalogue.genres.most_frequent(2), released=(1990, 2026),
                                   tags=rec._catalogue.tags.most_frequent(1), duration=(0, 500)),
}
for name, ask in asks.items():
    pid = os.fork()
    if not pid:
        try:
            ask(); os._exit(0)
        except BaseException as error:
            print(name, repr(error), flush=True); os._exit(3)
    end, ended = time.time() + 25, 0
    while time.time() < end and not ended:
        ended, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)
    if not ended:
        os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
    print(name, os.waitstatus_to_exitcode(status) if ended else "hangs")
"""


@pytest.mark.parametrize("state", ["cold", "warm"])
def test_a_child_forked_after_loading_answers(built: Path, state: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", ASK, str(built), state]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2], check=True
    )
    assert set(done.stdout.splitlines()) == {
        f"{name} 0" for name in ("recommend", "batch", "stranger", "similar", "next", "search", "title", "filters")
    }


def test_threads_share_a_memory_that_is_full(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_neighbours, "REMEMBERED_CELLS", 2000)  # as 20 million are for 200,000 songs
    recommender = Recommender.load(built)
    users = list(recommender.dataset.user_ids.names)
    alone = [recommender.recommend(user, 5) for user in users]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda user: recommender.recommend(user, 5), users)) == alone


def test_threads_are_given_back_when_the_last_small_answer_is_done() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threads_for(1):
            assert torch.get_num_threads() == 1
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(_inside).result() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threads_for(1000):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def _inside() -> int:
    with threads_for(1):
        return torch.get_num_threads()
