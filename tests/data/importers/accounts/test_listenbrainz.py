"""Small dumps and exports as ListenBrainz writes them (listenbrainz-server: listen.py, background/export.py)."""

import gzip
import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime

import pytest

from data.errors import UserError
from data.importers import row_buffer as gather
from data.importers.accounts import listenbrainz
from data.importers.accounts.listenbrainz import DATA_SET, read
from tests.data.handed_over import put_together, refused, valid

MBID, OTHER = "98255a8c-017a-4bc7-8dd6-1fa36124572b", "e8f9b188-f819-4e43-ab0f-4bd26ce9ff56"
MSID, SECOND = "d23f4719-9212-49f0-ad08-ddbfbfc50d6f", "1c1ad8ec-0d3e-4dd1-8b6a-5e8f0b1a2c3d"
NEVER_HEARD = "00000000-0000-4000-8000-00000000dead"
NOON = 1_700_000_000


def dumped(user, timestamp, title="Never Gonna Give You Up", msid=MSID, **info):
    """A line of the dump: Listen.to_json()."""
    return {
        "user_id": user,
        "user_name": f"name of {user}",
        "timestamp": timestamp,
        "track_metadata": {
            "artist_name": "Rick Astley",
            "track_name": title,
            "release_name": "Whenever you need somebody",
            "additional_info": {"recording_msid": msid, "tags": ["pop", "rick rolled!"], **info},
        },
        "recording_msid": msid,
    }


def exported(at, msid, mapping=None, **info):
    """A line of an export: seconds with their fraction, as PostgreSQL gives an epoch."""
    heard = {"artist_name": "Björk", "track_name": "Jóga", "additional_info": info}
    heard |= {"recording_msid": msid, "mbid_mapping": mapping}
    return {"inserted_at": at + 60.123456, "listened_at": float(at), "track_metadata": heard}


MAPPED = {
    "recording_mbid": MBID,
    "recording_name": "Jóga (live)",
    "artist_mbids": [],
    "artists": [
        {"artist_credit_name": "Björk", "join_phrase": " & ", "artist_mbid": OTHER},
        {"artist_credit_name": "Friends", "join_phrase": "", "artist_mbid": OTHER},
    ],
}


def as_lines(*records):
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)


def write(root, **files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


DUMP = {
    "COPYING": "CC0\n",
    "SCHEMA_SEQUENCE": "1",
    "TIMESTAMP": "2023-12-01 00:00:00",
    "listens/2023/2.listens": as_lines(dumped(1, NOON), dumped(2, NOON + 5, duration_ms=213_000)),
    "listens/2023/10.listens": as_lines(
        dumped(1, NOON + 9, title="Together Forever", msid=SECOND, recording_mbid=OTHER, duration="200"),
        dumped(2, NOON + 20, ms_played=50_000, duration_ms=200_000),
    ),
}
TAKEN = [("1", MSID, None), ("2", MSID, None), ("1", OTHER, None), ("2", MSID, 0.25)]


def tar(mode):
    """The dump as it is published: one folder in a tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in DUMP.items():
            info = tarfile.TarInfo(f"listenbrainz-listens-dump-1-20231201-000004-full/{name}")
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))
        link = tarfile.TarInfo("listens/2023/3.listens")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return packed.getvalue()


def test_a_track_has_its_recording_s_id_where_one_is_named_and_its_isrc(tmp_path):
    first, second = exported(NOON, MSID, MAPPED, isrc="GB-AYE-06-01498"), exported(NOON + 300, SECOND, isrc="none")
    path = write(tmp_path / "export", **{"listens/2023/11.jsonl": as_lines(first, second)})
    tracks = valid(read(path)).tables["tracks"]
    assert tracks.select("track_id", "mbid", "isrc").rows() == [(MBID, MBID, "GBAYE0601498"), (SECOND, None, None)]


@pytest.mark.parametrize("shape", ["folder", "packed", "tar.xz", "tar.gz"])
def test_a_dump_in_every_shape(tmp_path, shape):
    if shape == "folder":
        path = write(tmp_path / "dump", **DUMP)
    elif shape == "packed":
        listens = {f"{name}.gz": gzip.compress(text.encode()) for name, text in DUMP.items() if "listens" in name}
        path = write(tmp_path / "dump", **listens)
    else:
        path = tmp_path / f"listenbrainz-listens-dump.{shape}"
        path.write_bytes(tar(f"w:{shape[4:]}"))
    found = valid(read(path))
    listens = found.tables["listens"]
    assert listens.select("user_id", "track_id", "played_ratio").rows() == TAKEN
    assert listens["listened_at"][0] == datetime.fromtimestamp(NOON, UTC)
    assert found.tables["tracks"].select("track_id", "title", "artist", "album", "duration_s").rows() == [
        (MSID, "Never Gonna Give You Up", "Rick Astley", "Whenever you need somebody", None),
        (OTHER, "Together Forever", "Rick Astley", "Whenever you need somebody", 200.0),
    ]
    assert found.tables["tracks"]["tags"][0].to_list() == ["pop", "rick rolled!"]
    assert refused(found) == []


EXPORT = {
    "user.json": '{"user_id":417,"username":"someone"}\n',
    "listens/2023/11.jsonl": as_lines(
        exported(NOON, MSID, MAPPED), exported(NOON + 300, SECOND), exported(NOON + 600, None, recording_mbid=OTHER)
    ),
    "listens/2024/1.jsonl": as_lines(exported(NOON + 5_000_000, None)),
    "feedback.jsonl": as_lines(
        {"recording_msid": MSID, "recording_mbid": None, "score": 1, "created": NOON + 1000},
        {"recording_msid": None, "recording_mbid": OTHER, "score": -1, "created": NOON + 2000},
        {
            "recording_msid": NEVER_HEARD,
            "recording_mbid": None,
            "score": 1,
            "created": NOON + 3000,
        },
        {"recording_msid": SECOND, "recording_mbid": None, "score": 0, "created": NOON + 4000},
        {"recording_msid": SECOND, "recording_mbid": None, "score": 1},
    ),
    "pinned_recording.jsonl": as_lines({"recording_msid": MSID, "blurb_content": "!", "created": NOON}),
}


@pytest.mark.parametrize("shape", ["folder", "zip"])
def test_an_export_with_feedback(tmp_path, shape):
    path = write(tmp_path / "export", **EXPORT)
    if shape == "zip":
        path = tmp_path / "listenbrainz_someone_1700000000.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in EXPORT.items():
                archive.writestr(name, content)
    found = valid(read(path))
    assert found.tables["listens"].select("user_id", "track_id", "feedback").rows() == [
        ("417", MBID, None),
        ("417", SECOND, None),
        ("417", OTHER, None),
        ("417", "björk - jóga", None),
        # The loved MessyBrainz id is that of a listen, and ListenBrainz knows its recording.
        ("417", MBID, "like"),
        ("417", OTHER, "dislike"),
        ("417", NEVER_HEARD, "like"),
    ]
    assert found.tables["listens"]["listened_at"][4] == datetime.fromtimestamp(NOON + 1000, UTC)
    tracks = {row["track_id"]: row for row in found.tables["tracks"].iter_rows(named=True)}
    assert (tracks[MBID]["title"], tracks[MBID]["artist"]) == ("Jóga (live)", "Björk & Friends")
    assert (tracks[SECOND]["title"], tracks[SECOND]["artist"]) == ("Jóga", "Björk")
    assert refused(found) == [
        ("listens", "feedback.jsonl:4", "feedback taken back"),
        ("listens", "feedback.jsonl:5", "feedback without a time"),
    ]


def test_the_older_export_is_one_array(tmp_path):
    listen = {"track_metadata": {"artist_name": "A", "track_name": "B", "additional_info": {"recording_msid": MSID}}}
    listens = [listen | {"listened_at": NOON + n, "recording_msid": MSID, "user_name": "rob"} for n in range(3)]
    feedback = [{"user_id": "rob", "recording_msid": MSID, "score": -1, "created": NOON + 9, "track_metadata": None}]
    path = write(
        tmp_path,
        **{"rob_lb-2022-01-01.json": json.dumps(listens), "rob_lb_feedback-2022-01-01.json": json.dumps(feedback)},
    )
    found = valid(read(path))
    assert found.tables["listens"].select("user_id", "track_id", "feedback").rows() == [
        *[("rob", MSID, None)] * 3,
        ("rob", MSID, "dislike"),
    ]
    alone = valid(read(path / "rob_lb-2022-01-01.json"))
    assert alone.tables["listens"].height == 3


def test_bad_lines_are_told_and_the_others_stay(tmp_path):
    nameless = dumped(3, NOON)
    nameless["recording_msid"] = None
    nameless["track_metadata"] = {"track_name": "\ud800", "additional_info": [], "mbid_mapping": "?"}
    texts = [
        "\ufeff" + json.dumps(dumped(1, NOON)),
        "",
        "[1]",
        json.dumps(dumped(1, 0)),
        json.dumps(dumped(1, 99_999)),
        json.dumps(dumped(1, "soon")),
        json.dumps(nameless),
        json.dumps(dumped(1, "2023-11-14T22:13:20", title="\ud83d\ude00 \udc00", duration_ms="x", tags=[None, " "])),
        json.dumps(dumped(1, NOON))[:-30],
    ]
    path = write(tmp_path, **{"listens/2023/1.listens": "\n".join(texts), "listens/2023/2.listens": ""})
    found = valid(read(path))
    assert found.tables["listens"].select("user_id", "listened_at").rows() == [
        ("1", datetime.fromtimestamp(NOON, UTC)),
        ("1", datetime.fromtimestamp(NOON, UTC)),
    ]
    late = "no time, or one before October 2002"
    assert refused(found) == [
        ("listens", "listens/2023/1.listens:3", "not a JSON object"),
        ("listens", "listens/2023/1.listens:4", late),
        ("listens", "listens/2023/1.listens:5", late),
        ("listens", "listens/2023/1.listens:6", late),
        ("listens", "listens/2023/1.listens:7", "neither an id nor artist and title"),
        ("listens", "listens/2023/1.listens:9", "not JSON"),
        ("listens", "listens/2023/2.listens", "empty file"),
    ]


def test_parts_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(listenbrainz, "Gathered", lambda columns: gather.Gathered(columns, limit=10))
    listens = as_lines(*(dumped(n % 3, NOON + n, msid=NEVER_HEARD[:-1] + str(n % 7)) for n in range(95)))
    parts = list(read(write(tmp_path, **{"listens/2023/1.listens": listens})))
    assert max(frame.height for _, frame in parts) == 10
    assert put_together(parts).tables["listens"].height == 95
    assert put_together(parts).tables["tracks"].height == 7


def test_a_cut_archive_is_the_users_to_mend(tmp_path):
    path = tmp_path / "dump.tar.xz"
    path.write_bytes(tar("w:xz")[:400])
    with pytest.raises(UserError, match="damaged after"):
        list(read(path))
    (tmp_path / "dump.zip").write_bytes(b"PK\3\4no")
    with pytest.raises(UserError, match="not a whole zip"):
        list(read(tmp_path / "dump.zip"))


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(UserError, match=r"listens/YEAR/MONTH\.listens"):
        list(read(tmp_path))
    with pytest.raises(UserError, match="missing"):
        list(read(tmp_path / "nowhere"))
    (tmp_path / "dump.tar.zst").touch()
    with pytest.raises(UserError, match="--zstd"):
        list(read(tmp_path / "dump.tar.zst"))
    assert DATA_SET.name == "listenbrainz"
