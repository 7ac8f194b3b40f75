"""Table files as people have them: read right, or said. Each kind stands for many."""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.importers.own_tables.csv_rows import WIDER, read_csv
from data.importers.own_tables.importer import FilesSettings, import_files
from data.tables import Imported, validate


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    """Write one file and import it as a table."""

    def read(table: str, name: str, content: str | bytes, **settings: Any) -> Imported:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return import_files(FilesSettings(**{table: path}, **settings))

    return read


def told(found: Imported) -> list[tuple[str, str, int]]:
    return found.remarks.select("what", "where", "rows").rows()


TEXTS = st.text(alphabet="ab,\";\n \\'0é", max_size=12)


class TestQuotes:
    ROWS = [f"t{at},Song {at},Artist" for at in range(2000)]

    @pytest.mark.parametrize(
        "changed",
        [
            {20: 't20,"Heroes at Home,Somebody', 170: 't170,Choral",Orchestra'},
            {20: 't20,"Heroes at Home,Somebody', 23: 't23,Choral",Orchestra'},
            {20: 't20,"Heroes,Somebody', 21: 't21,"Heroes,Somebody', 1999: 't1999,Song,"Artist'},
            {20: 't20,7" mix,Somebody', 30: 't30,12",Somebody'},
            {20: r't20,"He said \\"hi\\"",Somebody'},
        ],
    )
    def test_a_stray_one_costs_no_row(self, imported: Any, changed: dict[int, str]) -> None:
        lines = [changed.get(at, row) for at, row in enumerate(self.ROWS)]
        found = imported("tracks", "t.csv", "\n".join(["track_id,title,artist", *lines]))
        assert found.tables["tracks"]["track_id"].to_list() == [f"t{at}" for at in range(2000)]
        assert found.rejects.is_empty()

    def test_a_title_over_lines_stays_one(self, imported: Any) -> None:
        found = imported("tracks", "t.csv", 'track_id,title,artist\na,"One\n\nTwo, too",X\nb,"""So""",Y\n')
        assert found.tables["tracks"]["title"].to_list() == ["One\n\nTwo, too", '"So"']
        found = imported("tracks", "t.csv", 'track_id,title,artist\n1,"Hello, world\nfoo, bar",X\n2,b,Y\n')
        assert found.tables["tracks"]["title"].to_list() == ["Hello, world\nfoo, bar", "b"]

    def test_more_fields_than_the_header_are_rejected_unless_they_are_empty(self, imported: Any) -> None:
        found = imported("tracks", "t.csv", "track_id,title\na,b,,\nc,d,e\n")
        assert found.tables["tracks"]["track_id"].to_list() == ["a"]
        assert found.rejects.select("source", "reason", "content").rows() == [("t.csv, line 3", WIDER, "c,d,e")]

    @given(st.lists(st.tuples(st.integers(1, 99).map("id {}".format), TEXTS, TEXTS), min_size=1, max_size=6))
    def test_any_table_of_three_columns_written_by_polars_comes_back(self, rows: list[tuple[str, str, str]]) -> None:
        text = pl.DataFrame(rows, ["x", "y", "z"], orient="row").write_csv()
        found = read_csv(text)
        assert found is not None
        assert [tuple(value or "" for value in row) for row in found.frame.rows()] == rows

    @given(st.text(alphabet='ab,"\n\\;', max_size=60))
    def test_every_line_is_in_a_row_or_a_reject(self, text: str) -> None:
        found = read_csv(f"x,y,z\n{text}")
        assert found is not None
        lines = [line for line in text.split("\n") if line.strip(" ,")]
        kept = [value for row in found.frame.rows() for value in row if value is not None]
        letters = "".join([*kept, *(line for _, _, line in found.rejected)])
        for letter in "ab":
            assert sum(line.count(letter) for line in lines) == letters.count(letter)


@pytest.mark.parametrize(
    ("content", "titles"),
    [
        ("sep=;\r\ntrack_id;title\r\n1;A\r\n", ["A"]),
        ("track_id\ttitle\r\n1\tCafé\r\n".encode("utf-16"), ["Café"]),
        ("track_id\ttitle\r\n1\tCafé\r\n".encode("utf-16-le"), ["Café"]),
        ("track_id,title\r1,A\r2,B\r", ["A", "B"]),
        ("\n\ntrack_id , title\n1,A\n", ["A"]),
        ("# exported by a program\ntrack_id,title\n1,A\n", ["A"]),
        ("track_id;title\n1;Caf\xe9\n2;Zoë\n".encode("cp1252"), ["Café", "Zoë"]),
    ],
)
def test_headers_and_encodings(imported: Any, content: str | bytes, titles: list[str]) -> None:
    assert imported("tracks", "t.csv", content).tables["tracks"]["title"].to_list() == titles


def test_lines_in_another_encoding_are_said(imported: Any) -> None:
    found = imported("tracks", "t.csv", "track_id;title;duration_s\r\n1;Caf\xe9;213,4\r\n2;x;200\r\n".encode("latin-1"))
    assert found.tables["tracks"].rows() == [("1", "Café", pytest.approx(213.4)), ("2", "x", 200.0)]
    assert told(found) == [("read as", "tracks", 1)]


class TestNames:
    def test_near_ones_are_used_and_said_and_the_others_named(self, imported: Any) -> None:
        found = imported("tracks", "t.csv", "Track ID,Title,ARTIST,genre,duration,mood\n1,A,B,Rock,200,calm\n")
        row = found.tables["tracks"].row(0, named=True)
        assert row == {"track_id": "1", "title": "A", "artist": "B", "genres": ["Rock"], "duration_s": 200.0}
        assert ("read as", "tracks.title", 1) in told(found)
        assert found.remarks.filter(what="passed over")["example"].to_list() == ["mood"]

    def test_a_column_that_comes_close_is_named_with_what_it_comes_close_to(self, imported: Any) -> None:
        found = imported("listens", "l.csv", "user_id,track_id,listened_at,ms_played\nu,a,2024-01-01,3000\n")
        assert found.remarks["example"].to_list() == ["ms_played (closest: played_ratio)"]

    def test_a_mapped_or_exact_name_is_not_replaced(self, imported: Any) -> None:
        found = imported("tracks", "t.csv", "track_id,title,Title\n1,A,B\n")
        assert found.tables["tracks"]["title"].to_list() == ["A"]

    def test_one_person_s_plays_need_neither_listener_nor_track(self, imported: Any) -> None:
        content = "artist,title,listened_at\nA,S,2024-01-01\nA, s ,2024-01-02\n,S,2024-01-03\n"
        found = validate(imported("listens", "l.csv", content, user="me"))
        assert found.tables["listens"].select("user_id", "track_id").unique().rows() == [("me", "a - s")]
        assert found.rejects.height == 1
        with pytest.raises(UserError, match="--user"):
            imported("listens", "l.csv", content)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02 03:04:05+00", datetime(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02 03:04:05.123+02", datetime(2024, 1, 2, 1, 4, 5, 123000)),
        ("05 Apr 2010, 11:59", datetime(2010, 4, 5, 11, 59)),
        ("05 Apr 2010 11:59", datetime(2010, 4, 5, 11, 59)),
        ("Tue, 14 Jun 2022 10:00:00 +0200", datetime(2022, 6, 14, 8)),
        ("2022-06-14 9:05:06", datetime(2022, 6, 14, 9, 5, 6)),
        ("14.06.2022 10:00", datetime(2022, 6, 14, 10)),
        ("6/14/2022 1:05 PM", datetime(2022, 6, 14, 13, 5)),
        ("Jun 14, 2022, 10:00:00 AM PDT", datetime(2022, 6, 14, 17)),
        ("40273.4993", datetime(2010, 4, 5, 11, 59)),
        ("20240102T030405Z", datetime(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02 03:04:05 +0000 UTC", datetime(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02 03:04:05 Europe/Berlin", datetime(2024, 1, 2, 2, 4, 5)),
        ("2024-01-02T03:04:05+01:00[Europe/Berlin]", datetime(2024, 1, 2, 2, 4, 5)),
        ("2024年1月2日 03:04", datetime(2024, 1, 2, 3, 4)),
        ("1704164645,5", datetime(2024, 1, 2, 3, 4, 5, 500_000)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20)),
    ],
)
def test_moments(imported: Any, text: str, moment: datetime) -> None:
    found = imported("listens", "l.csv", f'user_id,track_id,listened_at\nu,a,"{text}"\n')
    assert found.tables["listens"]["listened_at"].to_list() == [moment.replace(tzinfo=UTC)]


@pytest.mark.parametrize("text", ["7", "12345678", "soon", "3/4/2022 10:00", "2022-06-14 25:00"])
def test_what_is_no_moment_is_rejected_and_never_in_1970(imported: Any, text: str) -> None:
    found = imported("listens", "l.csv", f"user_id,track_id,listened_at\nu,a,{text}\n")
    assert found.rejects["reason"].to_list() == ["listened_at cannot be read"]


def test_a_column_tells_whether_days_stand_before_months(imported: Any) -> None:
    for other, month in (("25/12/2019", 4), ("12/25/2019", 3)):
        found = imported("tracks", "t.csv", f"track_id,release_date\na,3/4/2019\nb,{other}\n")
        assert found.tables["tracks"]["release_date"][0].month == month
    found = imported("tracks", "t.csv", "track_id,release_date\na,3/4/2019\nb,14.06.2019\nc,1999-6-1\n")
    assert found.tables["tracks"]["release_date"].to_list() == [None, date(2019, 6, 14), date(1999, 6, 1)]
    assert told(found) == [("made null", "tracks.release_date", 1)]


@pytest.mark.parametrize(
    ("header", "text", "seconds"),
    [
        ("duration_s", "3:45", 225),
        ("duration_s", "1:02:03", 3723),
        ("duration_s", "PT3M45S", 225),
        ("duration_s", "3 min 45 s", 225),
        ("duration_s", '"213,4"', 213.4),
        ("duration_ms", "213400", 213.4),
        ("Track Duration (ms)", "213400", 213.4),
        ("duration", "213400", 213.4),
    ],
)
def test_lengths(imported: Any, header: str, text: str, seconds: float) -> None:
    found = imported("tracks", "t.csv", f"track_id,{header}\na,{text}\n", map=[f"duration_s={header}"])
    assert found.tables["tracks"]["duration_s"].to_list() == [pytest.approx(seconds)]


def test_a_listen_is_not_lost_for_its_ratio_or_its_word(imported: Any) -> None:
    rows = "u,a,2024-01-01,1.02,\nu,b,2024-01-02,85%,Like\nu,c,2024-01-03,,love\nu,d,2024-01-04,0.5,meh\n"
    found = imported("listens", "l.csv", f"user_id,track_id,listened_at,played_ratio,feedback\n{rows}")
    listens = validate(found).tables["listens"]
    assert listens["played_ratio"].to_list() == [1.0, pytest.approx(0.85), None, 0.5]
    assert listens["feedback"].to_list() == [None, "like", "like", None]
    assert told(found) == [("made null", "listens.feedback", 1)]


def test_words_for_nothing_are_no_ids_and_no_values(imported: Any) -> None:
    rows = "1,NaN,None,\\N\nnan,x,y,Rock\n\\N,x,y,Rock\nNULL,p,q,Pop\n2,#N/A,N/A,nan\n"
    found = imported("tracks", "t.csv", f"track_id,title,artist,genres\n{rows}")
    assert found.tables["tracks"].rows() == [("1", None, None, None), ("2", None, None, None)]
    assert found.rejects["reason"].to_list() == ["track_id cannot be read"] * 3
    assert told(found) == [("made null", f"tracks.{column}", 2) for column in ("title", "artist", "genres")]


def test_ids_that_went_through_floats_are_those_of_the_other_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("track_id,title\n1,A\n2,B\n")
    (tmp_path / "l.csv").write_text("user_id,track_id,position\nu,1.0,0\nu,2.0,1\n")
    found = validate(import_files(FilesSettings(tracks=tmp_path / "t.csv", listens=tmp_path / "l.csv")))
    assert found.tables["listens"]["track_id"].to_list() == ["1", "2"]
    pl.DataFrame({"user_id": ["u", "u"], "track_id": [1.0, 2.0], "position": [0, 1]}).write_parquet(
        tmp_path / "l.parquet"
    )
    found = validate(import_files(FilesSettings(tracks=tmp_path / "t.csv", listens=tmp_path / "l.parquet")))
    assert found.tables["listens"]["track_id"].to_list() == ["1", "2"]


@pytest.mark.parametrize("genres", ["rock,pop", "rock;pop", "rock|pop", "rock / pop", "{rock,pop}", '["rock","pop"]'])
def test_separators(imported: Any, genres: str) -> None:
    found = imported("tracks", "t.tsv", f"track_id\tgenres\n1\t{genres}\n2\tR&B\n")
    assert found.tables["tracks"]["genres"].to_list() == [["rock", "pop"], ["R&B"]]


class TestParquet:
    @pytest.mark.parametrize(
        ("column", "values", "wanted"),
        [
            ("artist", pl.Series([["Q", "R"]]), "Q, R"),
            ("artist", pl.Series([[{"name": "Q"}, {"name": "R"}]]), "Q, R"),
            ("album", pl.Series([{"name": "Al", "id": 7}]), "Al"),
            ("title", pl.Series([b"x"]), "x"),
            ("title", pl.Series(["x"], dtype=pl.Categorical), "x"),
            ("tags", pl.Series([{"rock": 1.0, "pop": None}]), ["rock"]),
            ("genres", pl.Series(["rock;pop"]), ["rock", "pop"]),
            ("duration_s", pl.Series([213_000], dtype=pl.Duration("ms")), 213.0),
            ("release_date", pl.Series([datetime(2019, 6, 14)]), date(2019, 6, 14)),
        ],
    )
    def test_columns_of_other_types(self, tmp_path: Path, column: str, values: pl.Series, wanted: object) -> None:
        pl.DataFrame({"track_id": ["a"], column: values}).write_parquet(tmp_path / "t.parquet")
        found = import_files(FilesSettings(tracks=tmp_path / "t.parquet"))
        assert found.tables["tracks"][column].to_list() == [wanted]

    def test_bytes_that_are_no_text_are_a_reject(self, tmp_path: Path) -> None:
        pl.DataFrame({"track_id": [b"a", b"\xff"]}).write_parquet(tmp_path / "t.parquet")
        found = import_files(FilesSettings(tracks=tmp_path / "t.parquet"))
        assert found.tables["tracks"]["track_id"].to_list() == ["a"]
        assert found.rejects.height == 1

    def test_a_folder_of_parts_is_one_table(self, tmp_path: Path) -> None:
        folder = tmp_path / "plays.parquet"
        folder.mkdir()
        for part in range(2):
            rows = {"user_id": ["u"], "track_id": [f"t{part}"], "listened_at": [1_700_000_000 + part]}
            pl.DataFrame(rows).write_parquet(folder / f"part-{part:05}.snappy.parquet")
        (folder / "_SUCCESS").touch()
        (tmp_path / "empty").mkdir()
        found = import_files(FilesSettings(listens=folder))
        assert found.tables["listens"]["track_id"].to_list() == ["t0", "t1"]
        with pytest.raises(UserError, match="without Parquet"):
            import_files(FilesSettings(listens=tmp_path / "empty"))

    @pytest.mark.parametrize("value", [[1, 2], {"at": 3}, time(3), True, b"\xff"])
    def test_a_time_of_another_type_is_a_reject_and_no_crash(self, tmp_path: Path, value: object) -> None:
        rows = {"user_id": ["u"], "track_id": ["a"], "listened_at": [value]}
        pl.DataFrame(rows).write_parquet(tmp_path / "l.parquet")
        found = import_files(FilesSettings(listens=tmp_path / "l.parquet"))
        assert found.rejects["reason"].to_list() == ["listened_at cannot be read"]

    def test_a_type_that_cannot_be_read_is_named_with_file_and_column(self, tmp_path: Path) -> None:
        rows = {"user_id": ["u"], "track_id": ["a"], "listened_at": [timedelta(seconds=3)]}
        pl.DataFrame(rows).write_parquet(tmp_path / "l.parquet")
        with pytest.raises(UserError, match=r"l\.parquet: column listened_at of type Duration"):
            import_files(FilesSettings(listens=tmp_path / "l.parquet"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", '[{"track_id": 1, "title": "A"}, {"track_id": 2, "title": "B"}]'),
        ("t.jsonl", '[{"track_id": 1, "title": "A"}, {"track_id": 2, "title": "B"}]'),
        ("t.json", '{"version": [3], "tracks": [{"track_id": 1, "title": "A"}, {"track_id": 2, "title": "B"}]}'),
        ("t.json", '{\n "tracks": [\n  {"track_id": 1, "title": "A"},\n  {"track_id": 2, "title": "B"}\n ]\n}'),
        ("t.json", '{"track_id": 1, "title": "A", "genres": ["x"]}\n{"track_id": 2, "title": "B"}\n'),
    ],
)
def test_json_in_every_shape(imported: Any, name: str, content: str) -> None:
    assert imported("tracks", name, content).tables["tracks"].select("track_id", "title").rows() == [
        ("1", "A"),
        ("2", "B"),
    ]


def test_names_inside_json_objects(imported: Any) -> None:
    line = {"track_id": "1", "title": "S", "artist": [{"name": "A"}, {"name": "B"}], "album": {"name": "Al"}}
    row = imported("tracks", "t.jsonl", json.dumps(line)).tables["tracks"].row(0, named=True)
    assert (row["artist"], row["album"]) == ("A, B", "Al")


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "nan", "", "c"]), st.sampled_from(["x", "7 inch", '"q', "12,5", "\\N"])),
        min_size=1,
        max_size=30,
    )
)
def test_rows_in_are_rows_kept_rejected_or_merged(rows: list[tuple[str, str]]) -> None:
    content = "track_id;title;artist\n" + "\n".join(f"{track};{title};A" for track, title in rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_text(content)
        found = validate(import_files(FilesSettings(tracks=path)))
    assert found.tables["tracks"].height + found.rejects.height + found.merged.get("tracks", 0) == len(rows)


def test_the_closing_table_as_json(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("track_id,Title,mood\n1,A,x\n1,A,x\n,B,y\n")
    command = [sys.executable, "-m", "data.prepare", "tables", "--tracks", "t.csv", "--json"]
    root = str(Path(__file__).parents[4])
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": root, "PATH": "/usr/bin"}
    )
    found = json.loads(ended.stdout)
    assert found["tables"] == {"tracks": {"read": 3, "kept": 1, "merged": 1, "rejected": 1}}
    assert [note["what"] for note in found["notes"]] == ["rejected", "merged", "passed over", "read as"]
    assert "rejected    tracks" in ended.stderr


def test_an_id_by_name_only_where_the_file_has_none(imported: Any) -> None:
    found = imported("tracks", "t.csv", "id,name,artist\n7,S,A\n")
    assert found.tables["tracks"].select("track_id", "title").rows() == [("7", "S")]
    found = imported("tracks", "t.csv", "Titel,Wer\nS,A\n", map=["title=Titel", "artist=Wer"])
    assert found.tables["tracks"]["track_id"].to_list() == ["a - s"]
