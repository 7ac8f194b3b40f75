"""Yambda's Parquet files: the columns and types of the published ones."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data.dataset import POSITIVE
from data.errors import UserError
from data.importers.public import yambda
from data.importers.public.yambda import DATA_SET, read
from data.split import ensure_split
from data.storage.workspace import Workspace
from tests.data.part_tables import checked, gathered, reasons, rows

EVENT = {"uid": pl.UInt32, "timestamp": pl.UInt32, "item_id": pl.UInt32, "is_organic": pl.UInt8}
LISTEN = EVENT | {"played_ratio_pct": pl.UInt16, "track_length_seconds": pl.UInt32}
KINDS = ["listen", "like", "dislike", "unlike", "undislike"]
LISTENS = [
    (10, 106_910, 7, 1, 100, 210),
    (10, 107_120, 8, 1, 12, 180),
    (10, 107_120, 7, 0, 137, 210),
    (20, 15_929_455, 9_390_000, 0, 50, 95),
]
LIKES, DISLIKES = [(10, 106_950, 7, 1), (20, 15_929_500, 12, 0)], [(10, 107_125, 8, 1)]
UNLIKES = [(10, 20_000_000, 7, 1)]
ZERO = datetime(1970, 1, 1, tzinfo=UTC)


def parquet(path, rows, schema):
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema, orient="row").write_parquet(path)


@pytest.fixture
def root(tmp_path):
    """The layout of the repository: events of a size in flat/50m, what all sizes share at the top."""
    size = tmp_path / "flat/50m"
    parquet(size / "listens.parquet", LISTENS, LISTEN)
    for name, events in (("likes", LIKES), ("dislikes", DISLIKES), ("unlikes", UNLIKES), ("undislikes", [])):
        parquet(size / f"{name}.parquet", events, EVENT)
    parquet(
        tmp_path / "artist_item_mapping.parquet",
        [(4, 8), (1, 7), (2, 7), (3, 1_000)],
        {"artist_id": pl.UInt32, "item_id": pl.UInt32},
    )
    parquet(
        tmp_path / "album_item_mapping.parquet",
        [(70, 7), (71, 9_390_000)],
        {"album_id": pl.UInt32, "item_id": pl.UInt32},
    )
    vectors = [(item, [float(item), 0.0], [1.0, 0.0]) for item in (7, 1_000, 9_390_000)] + [
        (8, [0.0, 0.0], [float("nan")] * 2)
    ]
    embeds = {"item_id": pl.UInt32, "embed": pl.List(pl.Float64), "normalized_embed": pl.List(pl.Float64)}
    parquet(tmp_path / "embeddings.parquet", vectors, embeds)
    return tmp_path


@pytest.fixture
def size(root):
    return root / "flat/50m"


def test_timestamps_are_seconds_from_a_fixed_origin(size):
    listens = checked(read(size)).tables["listens"]
    expected = [at for _, at, *_ in [*LISTENS, *LIKES, *DISLIKES]]
    assert [(at - ZERO).total_seconds() for at in listens["listened_at"]] == expected
    # Ten months, as the paper says: times five would be four years.
    assert listens["listened_at"].max() - listens["listened_at"].min() < timedelta(days=300)


def test_listens_likes_and_dislikes_are_events_of_their_own(size):
    listens = checked(read(size)).tables["listens"]
    assert rows(listens, "user_id", "track_id", "played_ratio", "feedback") == [
        ("10", "7", 1.0, None),
        ("10", "8", pytest.approx(0.12), None),
        ("10", "7", 1.0, None),
        ("20", "9390000", 0.5, None),
        ("10", "7", None, "like"),
        ("20", "12", None, "like"),
        ("10", "8", None, "dislike"),
    ]
    assert listens.select(POSITIVE).to_series().to_list() == [True, False, True, True, True, True, False]


def test_tracks_are_those_that_the_events_name(size):
    assert rows(checked(read(size)).tables["tracks"], "track_id", "artist", "album", "duration_s") == [
        ("7", "1", "70", 210.0),
        ("8", "4", None, 180.0),
        ("12", None, None, None),
        ("9390000", None, "71", 95.0),
    ]


def test_features_are_the_normalised_embeddings_of_those_tracks(size):
    valid = checked(read(size))
    assert rows(valid.tables["features"], "track_id", "features") == [("7", [1.0, 0.0]), ("9390000", [1.0, 0.0])]
    assert [reason for reason, _ in reasons(valid, "features")] == ["a value is missing or not finite"]
    assert valid.rejects.height == 1


def test_the_top_folder_does_where_it_holds_one_size(root, size):
    assert gathered(read(root))[0]["listens"].equals(gathered(read(size))[0]["listens"])
    parquet(root / "flat/500m/listens.parquet", LISTENS, LISTEN)
    with pytest.raises(UserError, match=r"several sizes: flat/500m, flat/50m"):
        next(read(root))


def test_multi_event_holds_the_same(size):
    expected, _ = gathered(read(size))
    events = [(*row, "listen") for row in LISTENS]
    for kind, given in (("like", LIKES), ("dislike", DISLIKES), ("unlike", UNLIKES)):
        events += [(*row, None, None, kind) for row in given]
    for file in size.glob("*.parquet"):
        file.unlink()
    parquet(
        size / "multi_event.parquet", sorted(events, key=lambda row: row[:2]), LISTEN | {"event_type": pl.Enum(KINDS)}
    )
    found, bad = gathered(read(size))
    order = ["user_id", "listened_at", "track_id"]
    assert found["listens"].sort(order).equals(expected["listens"].sort(order))
    assert found["tracks"].equals(expected["tracks"])
    assert bad.is_empty()


def test_unknown_kinds_and_missing_ids_are_rejected(size):
    for file in size.glob("*.parquet"):
        file.unlink()
    events = [(1, 5, 7, 1, 90, 100, "listen"), (1, 10, 7, 1, None, None, "share"), (1, 15, 7, 1, None, None, None)]
    events += [
        (None, 5, 7, 1, 90, 100, "listen"),
        (1, 5, None, 1, 90, 100, "listen"),
        (1, None, 7, 1, 90, 100, "listen"),
    ]
    parquet(size / "multi_event.parquet", events, LISTEN | {"event_type": pl.String})
    valid = checked(read(size))
    assert valid.tables["listens"].height == 1
    assert [reason for reason, _ in reasons(valid, "listens")] == [
        'unknown event_type "share"',
        'unknown event_type ""',
        "no user_id",
        "no track_id",
        "neither a time nor a position",
    ]


def test_parts_stay_small_and_say_the_same(size, monkeypatch):
    rng = np.random.default_rng(0)
    many = [(user, 5 * place, int(rng.integers(60)), 1, 80, 200) for user in range(20) for place in range(30)]
    parquet(size / "listens.parquet", many, LISTEN)
    whole, _ = gathered(read(size))
    monkeypatch.setattr(yambda, "ROWS", 7)
    monkeypatch.setattr(yambda, "VECTORS", 1)
    parts = list(read(size))
    assert max(frame.height for _, frame in parts) == 7
    for name, frame in gathered(parts)[0].items():
        assert frame.equals(whole[name]), name
    assert whole["tracks"]["track_id"].to_list() == [
        str(item) for item in sorted({row[2] for row in many} | {7, 8, 12})
    ]


def test_without_what_the_sizes_share_the_events_are_read(root, size):
    for name in ("artist_item_mapping", "album_item_mapping", "embeddings"):
        (root / f"{name}.parquet").unlink()
    for name in ("likes", "dislikes", "unlikes", "undislikes"):
        (size / f"{name}.parquet").unlink()
    tables = checked(read(size)).tables
    assert tables["listens"].height == len(LISTENS)
    assert tables["features"].is_empty()
    assert tables["tracks"]["artist"].null_count() == 3


def test_it_can_be_published_and_split_by_time(size, publish):
    tables, _ = gathered(read(size))
    del tables["features"]
    dataset = publish(**tables)
    assert ensure_split(Workspace(dataset.root), dataset).order == "time"


def test_what_cannot_be_read_is_the_users_to_mend(size, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UserError, match=r"holds none of listens\.parquet[\s\S]*flat/50m"):
        next(DATA_SET.read(empty))
    parquet(
        empty / "listens.parquet",
        [(1, [5], [7])],
        {"uid": pl.UInt32, "timestamp": pl.List(pl.UInt32), "item_id": pl.List(pl.UInt32)},
    )
    with pytest.raises(UserError, match=r"sequences[\s\S]*flat files"):
        next(read(empty))
    parquet(empty / "listens.parquet", [(1, 5)], {"uid": pl.UInt32, "timestamp": pl.UInt32})
    with pytest.raises(UserError, match="no column item_id"):
        next(read(empty))
    (empty / "listens.parquet").write_bytes((size / "listens.parquet").read_bytes()[:300])
    with pytest.raises(UserError, match="cannot be read"):
        list(read(empty))
