"""SASRec: it learns an order, no state knows what comes after it, and NumPy computes the same."""

import math

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.candidates.sequential.sasrec import Sasrec
from recsys.candidates.sequential.sasrec_network import SasrecNetwork, next_song_loss, windows
from recsys.candidates.sequential.sasrec_settings import SasrecSettings
from recsys.queries import Query
from tests.recsys.candidates.source_toys import SONGS, START, assert_same, cycle_world, make


class TestSasrec:
    SETTINGS = SasrecSettings(dim=16, layers=2, heads=2, length=8, dropout=0.3)

    @pytest.fixture(scope="class")
    def network(self) -> SasrecNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return SasrecNetwork(30, self.SETTINGS).eval()

    @pytest.mark.parametrize("negatives", [1000, 6])
    def test_learns_what_comes_next_in_a_ring(self, publish, negatives):
        dataset = cycle_world(publish)
        source = make("sasrec", dataset, negatives=negatives).fit(dataset)
        queries = [Query(history=(np.arange(start, start + 3) % SONGS).astype(np.int32)) for start in range(SONGS)]
        answer = source.candidates(queries, SONGS + 1)
        assert [int(tracks[0]) for tracks, _ in answer] == [(start + 3) % SONGS for start in range(SONGS)]
        assert SONGS not in answer.tracks

    @given(st.data())
    def test_no_state_depends_on_a_later_play(self, network, data):
        rows = data.draw(st.lists(st.integers(0, 29), min_size=8, max_size=8))
        at = data.draw(st.integers(1, 7))
        changed = rows[:at] + data.draw(st.lists(st.integers(0, 29), min_size=8 - at, max_size=8 - at))
        with torch.inference_mode():
            one, other = network(torch.tensor([rows])), network(torch.tensor([changed]))
        torch.testing.assert_close(one[:, :at], other[:, :at], rtol=1e-5, atol=1e-6)
        if rows != changed:
            assert not torch.allclose(one[:, at:], other[:, at:], atol=1e-4)

    def test_agrees_with_attention_written_out_in_numpy(self, network):
        played = [4, 9, 9, 0, 27]
        with torch.inference_mode():
            found = network(torch.tensor([played]))[0].numpy()
        np.testing.assert_allclose(found, numpy_states(network, played, heads=2), rtol=1e-4, atol=1e-5)

    def test_what_fills_up_a_row_changes_no_answer(self, fitted, training):
        short, long = np.array([3, 5], np.int32), np.arange(30, dtype=np.int32)
        source = fitted("sasrec")
        alone = source.candidates([Query(history=short)], 60)[0]
        filled = source.candidates([Query(history=long), Query(history=short)], 60)[1]
        np.testing.assert_allclose(np.sort(filled[1]), np.sort(alone[1]), rtol=1e-5, atol=1e-5)

    def test_skipped_unknown_and_long_past_plays_are_not_shown_to_it(self, training):
        source = make("sasrec", training, last=4, fewest_steps=3, epochs=1).fit(training)
        unknown = int(np.setdiff1d(np.arange(60), source.state()["known"])[0])
        history = np.array([1, 2, 3, unknown, 4, 5, 6], np.int32)
        evidence = np.array([1, 2, 1, 1, 1, -0.5, 1], np.float32)
        found = source.candidates([Query(history=history, evidence=evidence)], 60)
        expected = source.candidates([Query(history=np.array([2, 3, 4, 6], np.int32))], 60)
        assert_same(found, expected)

    def test_the_loss_over_all_songs_is_the_cross_entropy(self):
        rng = np.random.default_rng(0)
        states, songs = rng.normal(size=(5, 4)), rng.normal(size=(9, 4))
        wanted = np.array([0, 3, 8, 8, 1])
        logits = states @ songs.T
        expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(5), wanted])
        found = next_song_loss(torch.tensor(states), torch.tensor(wanted), torch.tensor(songs), negatives=8)
        assert float(found) == pytest.approx(expected)

    def test_drawn_negatives_estimate_the_loss_over_all_songs(self):
        rng = np.random.default_rng(0)
        states, songs = (torch.tensor(0.5 * rng.normal(size=(size, 4))) for size in (6, 400))
        wanted = torch.arange(6)
        expected = float(next_song_loss(states, wanted, songs, negatives=399))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            drawn = [float(next_song_loss(states, wanted, songs, negatives=100)) for _ in range(200)]
        assert np.mean(drawn) == pytest.approx(expected, abs=0.02)
        assert np.std(drawn) > 0

    @given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 9), st.data())
    def test_windows_ask_for_each_play_but_the_first_once(self, lengths, length, data):
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        shift = np.array(data.draw(st.lists(st.integers(0, length - 1), min_size=len(lengths), max_size=len(lengths))))
        begins, ends = windows(offsets, length, shift)
        asked = [play for begin, end in zip(begins, ends, strict=True) for play in range(begin + 1, end)]
        assert sorted(asked) == sorted(set(range(offsets[-1])) - set(offsets[:-1].tolist()))
        assert (ends - begins <= length + 1).all()

    def test_single_plays_teach_nothing_but_which_songs_there_are(self, publish):
        dataset = publish(
            tracks=pl.DataFrame({"track_id": ["a", "b", "c"]}),
            listens=pl.DataFrame({"user_id": ["u", "v"], "track_id": ["a", "c"], "listened_at": [START, START]}),
        )
        answer = make("sasrec", dataset).fit(dataset).candidates([Query(history=np.array([0], np.int32))], 10)
        assert sorted(answer.tracks.tolist()) == [0, 2]

    def test_the_seed_leaves_other_random_numbers_alone(self, training):
        torch.manual_seed(5)
        expected = torch.rand(1)
        torch.manual_seed(5)
        Sasrec(SasrecSettings(fewest_steps=2, epochs=1)).fit(training)
        assert torch.rand(1) == expected


def numpy_states(network: SasrecNetwork, played: list[int], heads: int) -> np.ndarray:
    """The network's states, in float64."""
    w = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}

    def normed(x, name):
        centred = x - x.mean(1, keepdims=True)
        return centred / np.sqrt(centred.var(1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["songs.weight"][played] + w["places.weight"][: len(played)]
    width = x.shape[1] // heads
    for layer in range(len(network.blocks)):
        at = f"blocks.{layer}"
        query, key, value = np.split(linear(normed(x, f"{at}.before_attention"), f"{at}.attend"), 3, axis=1)
        joined = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for place in range(len(played)):
                fit = np.exp(key[: place + 1, part] @ query[place, part] / math.sqrt(width))
                joined[place, part] = fit / fit.sum() @ value[: place + 1, part]
        x = x + linear(joined, f"{at}.join")
        inner = linear(normed(x, f"{at}.before_layer"), f"{at}.widen")
        gelu = np.array([[0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in row] for row in inner])
        x = x + linear(gelu, f"{at}.narrow")
    return normed(x, "norm")
