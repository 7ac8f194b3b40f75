import gzip
import json
import re
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.errors import UserError
from data.importers.own_tables.importer import FilesSettings, import_files
from data.importers.own_tables.parsing import NULLS, parse
from data.tables import STRINGS, TIME, validate

TRACKS = "track_id,title,genres,release_date,duration_s\n007,Ice,rock|pop,2019,61.5\n1e3,,,2019-06,\n"


@pytest.fixture
def put(tmp_path):
    """Write a file, get its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def reasons(imported):
    return imported.rejects.select("table", "source", "reason").rows()


def test_ids_stay_what_they_are(put):
    tracks = import_files(FilesSettings(tracks=put("t.csv", TRACKS))).tables["tracks"]
    assert tracks.rows() == [
        ("007", "Ice", ["rock", "pop"], date(2019, 1, 1), 61.5),
        ("1e3", None, None, date(2019, 6, 1), None),
    ]


def test_every_kind_of_file_says_the_same(put, tmp_path):
    rows = [
        {"track_id": "007", "title": "Ice", "genres": ["rock", "pop"], "release_date": "2019", "duration_s": 61.5},
        {"track_id": "1e3", "title": None, "genres": None, "release_date": "2019-06", "duration_s": None},
    ]
    lines = "\n".join(map(json.dumps, rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    files = [
        put("t.csv", TRACKS),
        put("t.csv.gz", gzip.compress(TRACKS.encode())),
        put("semicolons.csv", "\ufeff" + TRACKS.replace(",", ";").replace("\n", "\r\n")),
        put("json.csv", TRACKS.replace("rock|pop", '"[""rock"", ""pop""]"')),
        put("t.jsonl", lines),
        put("t.jsonl.gz", gzip.compress(lines.encode())),
        tmp_path / "t.parquet",
    ]
    first, *others = (import_files(FilesSettings(tracks=file)) for file in files)
    for other in others:
        assert other.tables["tracks"].equals(first.tables["tracks"])
        assert other.rejects.is_empty()


def test_numbers_in_json_and_parquet_are_ids_too(put, tmp_path):
    lines = put("t.jsonl", '{"track_id": 12345678901234567890}\n{"track_id": "x"}\n\n[1]\n{"track_id": \n')
    imported = import_files(FilesSettings(tracks=lines))
    assert imported.tables["tracks"]["track_id"].to_list() == ["12345678901234567890", "x"]
    assert reasons(imported) == [("tracks", f"t.jsonl, line {at}", "not a JSON object") for at in (4, 5)]
    pl.DataFrame({"track_id": [7]}).write_parquet(tmp_path / "t.parquet")
    imported = import_files(FilesSettings(tracks=tmp_path / "t.parquet"))
    assert imported.tables["tracks"]["track_id"].to_list() == ["7"]


def test_one_file_of_playlist_rows_gives_four_tables(put):
    file = put(
        "playlist_songs.csv",
        "track_id,track_name,playlist_id,playlist_name,energy,tempo,duration_ms\n"
        "a,Ah,p,Sunday,0.5,120,61500\nb,Be,p,Sunday,0.25,90,1000\na,Ah,q,Monday,0.5,120,61500\n",
    )
    settings = FilesSettings(
        tracks=file,
        playlists=file,
        playlist_tracks=file,
        features=file,
        map=["title=track_name", "playlists.title=playlist_name", "duration_s=duration_ms"],
        features_columns="energy,tempo",
    )
    found = validate(import_files(settings))
    assert found.rejects.is_empty()
    assert found.merged == {"tracks": 1, "playlists": 1, "features": 1}
    tables = found.tables
    assert tables["tracks"].select("track_id", "title", "duration_s").rows() == [("a", "Ah", 61.5), ("b", "Be", 1.0)]
    assert tables["playlists"].select("playlist_id", "title").rows() == [("p", "Sunday"), ("q", "Monday")]
    assert tables["playlist_tracks"].drop("added_at").rows() == [("p", 0, "a"), ("p", 1, "b"), ("q", 0, "a")]
    assert tables["features"].rows() == [("a", [0.5, 120]), ("b", [0.25, 90])]


def test_a_radio_file_gives_tracks_and_listens(put):
    file = put("radio.csv", "callsign,pos,time,song_id,song\nKCFX,0,9,00,Fly\nKCFX,1,9,1,Feel\n")
    settings = FilesSettings(
        tracks=file, listens=file, map=["listens.user_id=callsign", "track_id=song_id", "position=pos", "title=song"]
    )
    tables = import_files(settings).tables
    assert tables["tracks"].rows() == [("00", "Fly"), ("1", "Feel")]
    assert tables["listens"].rows() == [("KCFX", "00", 0), ("KCFX", "1", 1)]


def test_ids_of_recordings_have_their_columns(put):
    file = put("songs.csv", "id,name,Recording MBID,ISRC\n1,Rain,8f3471b5-7e6a-48da-86a9-c1c07a0f47ae,GBAYE0601498\n")
    tracks = import_files(FilesSettings(tracks=file)).tables["tracks"]
    assert tracks.select("mbid", "isrc").row(0) == ("8f3471b5-7e6a-48da-86a9-c1c07a0f47ae", "GBAYE0601498")


def test_a_general_name_is_used_where_the_file_has_it(put):
    tracks = put("t.csv", "song,title\na,Ah\n")
    listens = put("l.csv", "user_id,track_id,position\nu,a,1\n")
    imported = import_files(FilesSettings(tracks=tracks, listens=listens, map={"track_id": "song"}))
    assert imported.tables["listens"]["track_id"].to_list() == ["a"]


def test_what_cannot_be_read(put):
    listens = put(
        "l.csv",
        "user_id,track_id,listened_at,played_ratio\nu,a,2020-01-01T00:00:00Z,0.5\nu,b,soon,1\nu,c,1577836800,lots\n",
    )
    imported = import_files(FilesSettings(listens=listens))
    assert imported.tables["listens"]["track_id"].to_list() == ["a", "c"]
    assert reasons(imported) == [("listens", "l.csv", "listened_at cannot be read")]
    assert json.loads(imported.rejects["content"][0])["track_id"] == "b"
    assert imported.facts["nulled"] == {"listens.played_ratio": 1}
    features = put("f.csv", "track_id,energy,tempo\na,1,2\nb,1,fast\nc,,3\n")
    found = validate(import_files(FilesSettings(features=features, features_columns=["energy", "tempo"])))
    assert found.tables["features"]["track_id"].to_list() == ["a"]
    assert found.rejects["reason"].to_list() == ["tempo cannot be read", "a value is missing or not finite"]


def test_a_line_of_json_nested_without_end_is_rejected(put):
    lines = ['{"track_id": "a"}', '{"track_id": ' + "[" * 200_000, '{"track_id": "b"}']
    imported = import_files(FilesSettings(tracks=put("t.jsonl", "\n".join(lines))))
    assert imported.tables["tracks"]["track_id"].to_list() == ["a", "b"]
    assert reasons(imported) == [("tracks", "t.jsonl, line 2", "not a JSON object")]


def test_ragged_lines_and_stray_quotes(put):
    ragged = (
        'track_id,title,artist\n01,"a, b",x\n02,12" mix,y\n03,too,many,fields,here\n04,"open,z\n05,"two\nlines",z\n'
        '06,7" mix,y\n07,"a" b,y\n08,short\n,,\n\n09,caf\u00e9,z\n'
    )
    for encoding in ("utf-8", "latin-1"):
        imported = import_files(FilesSettings(tracks=put("t.csv", ragged.encode(encoding))))
        assert imported.tables["tracks"].rows() == [
            ("01", "a, b", "x"),
            ("02", '12" mix', "y"),
            ("04", '"open', "z"),
            ("05", "two\nlines", "z"),
            ("06", '7" mix', "y"),
            ("07", '"a" b', "y"),
            ("08", "short", None),
            ("09", "café", "z"),
        ]
        assert imported.rejects.rows() == [
            ("tracks", "t.csv, line 4", "more fields than the header has", "03,too,many,fields,here")
        ]


def test_audio_paths(put, tmp_path):
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "a.ogg").touch()
    (tmp_path / "b.ogg").touch()
    (folder / "link.ogg").symlink_to(tmp_path / "b.ogg")
    tracks = folder / "t.csv"
    tracks.write_text(f"track_id,audio_path\n1,a.ogg\n2,../b.ogg\n3,{tmp_path / 'b.ogg'}\n4,none.ogg\n5,\n6,link.ogg\n")
    imported = import_files(FilesSettings(tracks=tracks))
    here, there = str((folder / "a.ogg").resolve()), str((tmp_path / "b.ogg").resolve())
    assert imported.tables["tracks"]["audio_path"].to_list() == [here, None, there, None, None, None]
    outside = "audio_path leaves the folder of the tracks file"
    assert [row[2] for row in reasons(imported)] == [outside, "audio_path: no such file", outside]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no table given"),
        ({"tracks": "none.csv"}, "no file"),
        ({"tracks": "t.txt"}, "unknown kind"),
        ({"tracks": "empty.csv"}, "empty file"),
        ({"tracks": "broken.parquet"}, "cannot be read"),
        ({"tracks": "broken.csv.gz"}, "cannot be read"),
        ({"tracks": "flipped.csv.gz"}, "cannot be read"),
        ({"tracks": "twice.csv"}, '"a" twice'),
        ({"tracks": "t.csv", "map": {"titel": "x"}}, 'no column "titel"; the closest name is "title"'),
        ({"tracks": "t.csv", "map": {"title": "titel"}}, r"Columns: track_id, title"),
        ({"tracks": "t.csv", "map": {"tracks.title": "nope"}}, 'no column "nope"'),
        ({"listens": "t.csv"}, "has no column user_id"),
        ({"listens": "l.csv"}, "says nothing of order"),
        ({"features": "t.csv"}, "features_columns"),
        ({"features": "t.csv", "features_columns": ["energy"]}, 'no column "energy"'),
    ],
)
def test_the_users_mistakes(settings, message, put, tmp_path):
    put("t.csv", TRACKS)
    put("t.txt", TRACKS)
    put("empty.csv", "")
    put("broken.parquet", b"PAR1nonsense")
    put("broken.csv.gz", b"nonsense")
    packed = gzip.compress(TRACKS.encode())
    put("flipped.csv.gz", packed[:10] + bytes([packed[10] ^ 0xFF]) + packed[11:])
    put("twice.csv", "a,a\n1,2\n")
    put("l.csv", "user_id,track_id\nu,a\n")
    paths = {key: tmp_path / value if isinstance(value, str) else value for key, value in settings.items()}
    with pytest.raises(UserError, match=message):
        import_files(FilesSettings(**paths))


def test_settings_from_toml(put, tmp_path):
    put("t.csv", TRACKS)
    toml = put("import.toml", 'tracks = "t.csv"\n[map]\ntitle = "title"\ntracks.artist = "title"\n')
    settings = FilesSettings.from_toml(toml)
    assert settings.tracks == tmp_path / "t.csv"
    assert settings.map == {"title": "title", "tracks.artist": "title"}
    assert import_files(settings).tables["tracks"]["artist"].to_list() == ["Ice", None]
    for content in ("tracks = [", 'trakcs = "t.csv"'):
        with pytest.raises(UserError, match=r"import\.toml"):
            FilesSettings.from_toml(put("import.toml", content))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-02T03:04:05Z", (2020, 1, 2, 3, 4, 5)),
        ("2020-01-02 03:04:05.250", (2020, 1, 2, 3, 4, 5, 250_000)),
        ("2020-01-02T05:04:05+02:00", (2020, 1, 2, 3, 4, 5)),
        ("2020-01-02T03:04:05.123456789+0000", (2020, 1, 2, 3, 4, 5, 123_456)),
        ("2020/01/02 03:04", (2020, 1, 2, 3, 4)),
        ("2020-01-02", (2020, 1, 2)),
        ("20200102", (2020, 1, 2)),
        ("1577934245", (2020, 1, 2, 3, 4, 5)),
        ("1577934245.25", (2020, 1, 2, 3, 4, 5, 250_000)),
        ("1577934245250", (2020, 1, 2, 3, 4, 5, 250_000)),
        ("1577934245250000", (2020, 1, 2, 3, 4, 5, 250_000)),
        ("2020-13-45", None),
        ("nan", None),
    ],
)
def test_times(text, moment):
    assert parse(pl.Series([text]), TIME).to_list() == [moment and datetime(*moment, tzinfo=UTC)]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_any_iso_time_comes_back(moment):
    assert parse(pl.Series([moment.isoformat()]), TIME).to_list() == [moment]


@given(st.lists(st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1, unique=True), min_size=1))
def test_any_json_list_comes_back(lists):
    assert parse(pl.Series(map(json.dumps, lists)), STRINGS).to_list() == lists


def test_integers():
    values = pl.Series(["7", " 8 ", "9.0", "9.5", "x", "99999999999", None])
    assert parse(values, pl.Int32).to_list() == [7, 8, 9, None, None, None, None]
    assert parse(values, pl.Int64).to_list() == [7, 8, 9, None, None, 99999999999, None]


IDS = st.text(min_size=1).filter(lambda text: text.strip() not in NULLS and not re.fullmatch(r"\d+\.0", text))


@given(st.lists(st.tuples(IDS, st.text()), min_size=1))
@example([("\r\n", ""), ("a\r\nb\nc\rd", "e\r\n")])
def test_any_table_written_by_polars_comes_back(rows):
    import tempfile
    from pathlib import Path

    wanted = pl.DataFrame(rows, {"track_id": pl.String, "title": pl.String}, orient="row")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        wanted.write_csv(path)
        found = import_files(FilesSettings(tracks=path))
    assert found.tables["tracks"]["track_id"].to_list() == wanted["track_id"].to_list()
