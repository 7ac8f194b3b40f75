"""Play counts without an order: no crash, nothing that looks like an order, no track that only the test part holds."""

import zlib
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from data.importers.public.play_counts import drawn, one_listen_each
from data.listening.sessions import sessions
from data.split import PARTS, ensure_split
from data.storage.workspace import Workspace

FILE = Path("train_triplets.txt")


def counts(listeners=60, tracks=50):
    """Everybody has heard every track, in the same order and the first most often."""
    return pl.DataFrame(
        [(f"u{user}", f"t{track:03}", str(1_000 - track)) for user in range(listeners) for track in range(tracks)],
        ["user_id", "track_id", "count"],
        orient="row",
    )


def mixed(code):
    """The finaliser of MurmurHash3 in Python's own integers."""
    code ^= code >> 16
    code = code * 0x85EBCA6B & 0xFFFFFFFF
    code ^= code >> 13
    code = code * 0xC2B2AE35 & 0xFFFFFFFF
    return code ^ code >> 16


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=20))
def test_the_drawn_position_is_a_fixed_hash(pairs):
    users, tracks = ([pair[side] for pair in pairs] for side in (0, 1))
    expected = [mixed(zlib.crc32(f"{user}\t{track}".encode("utf-8", "surrogatepass"))) for user, track in pairs]
    found = drawn(pl.Series(users, dtype=pl.String), pl.Series(tracks, dtype=pl.String))
    assert found.to_list() == expected
    assert found.dtype == pl.Int64


def test_each_pair_is_one_listen_and_what_is_no_count_is_rejected():
    rows = [
        ("u", "a", "13883"),
        ("u", "b", "0"),
        ("u", "c", "-1"),
        ("u", "d", "1.5"),
        ("u", "e", None),
        ("u", "f", "1"),
    ]
    listens, bad = one_listen_each(pl.DataFrame(rows, ["user_id", "track_id", "count"], orient="row"), FILE)
    assert listens.select("user_id", "track_id").rows() == [("u", "a"), ("u", "f")]
    assert bad.select("reason", "content").rows() == [
        ("not played once", "u\tb\t0"),
        ("not played once", "u\tc\t-1"),
        ("count cannot be read", "u\td\t1.5"),
        ("count cannot be read", "u\te\t"),
    ]


def test_positions_follow_neither_the_file_nor_the_counts_nor_another_listener():
    listens, _ = one_listen_each(counts(), FILE)
    places = listens["position"].to_numpy().reshape(60, 50).argsort(axis=1).argsort(axis=1)
    correlated = np.corrcoef(np.vstack([np.arange(50), places]))
    others = correlated[np.triu_indices_from(correlated, 1)]
    # 1,830 pairs of random orders of 50: standard deviation 1/7, so five of them are beyond chance.
    assert np.abs(others).max() < 5 / 7
    assert abs(others.mean()) < 0.02


def test_a_split_keeps_every_track_in_training_and_no_pair_in_two_parts(publish):
    listens, _ = one_listen_each(counts(), FILE)
    dataset = publish(listens=listens)
    split = ensure_split(Workspace(dataset.root), dataset)
    assert split.order == "position"
    held = [set(split.listens_of(dataset, part).select("user", "track").rows()) for part in PARTS]
    assert [len(pairs) for pairs in held] == [60 * 40, 60 * 5, 60 * 5]
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
    assert not split.cold_before("test").any()
    assert split.moment("test") is None


def test_sessions_of_listens_without_an_order_are_runs(publish):
    listens, _ = one_listen_each(counts(listeners=3), FILE)
    found = sessions(publish(listens=listens).listens, run=20)
    assert found.group_by("session").len().sort("session")["len"].to_list() == [20, 20, 10] * 3
