"""Published text files are read as they are, in blocks of any size, whatever they are packed with."""

import bz2
import gzip
import tempfile
import zipfile
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.importers.formats import delimited as lines
from data.importers.formats.delimited import blocks, find, named_records, records, refuse

FIELD = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), max_size=6)


def pack(path: Path, content: bytes, end: str) -> Path:
    packed = path.with_name(path.name + end)
    if end == ".zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("readme.txt", "not this")
            archive.writestr(path.name, content)
    else:
        packed.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[end](content))
    return packed


@given(
    st.lists(st.lists(FIELD, min_size=1, max_size=4)),
    st.integers(1, 20),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(["", ".gz", ".bz2", ".zip"]),
)
def test_records_are_what_splitting_the_text_gives(table, block, newline, closed, end):
    text = newline.join("\t".join(fields) for fields in table) + (newline if closed else "")
    expected, over = [], []
    for fields in table:
        if len(fields) > 3:
            over.append("\t".join(fields))
        elif "\t".join(fields).strip():
            expected.append(tuple((field or None) for field in [*fields, "", ""][:3]))
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(lines, "BLOCK", block):
        path = pack(Path(folder) / "plays.tsv", text.encode(), end)
        read = list(records(path, "listens", ("a", "b", "c")))
    over = [line for line in over if line.strip()]
    assert [row for good, _ in read for row in good.rows()] == expected
    assert [row for _, bad in read for row in bad["content"]] == over
    assert {row for _, bad in read for row in bad.select("table", "source", "reason").rows()} <= {
        ("listens", path.name, "more than 3 fields")
    }


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_name(tmp_path):
    path = pack(tmp_path / "artists.dat", "\ufeffid\tname\r\n1\tÜ\r\n".encode(), "")
    assert [good.rows(named=True) for good, _ in records(path, "tracks")] == [[{"id": "1", "name": "Ü"}]]


def test_lines_that_are_no_utf_8_are_latin_1_and_the_others_stay_what_they_are(tmp_path):
    path = tmp_path / "tags.dat"
    path.write_bytes("1\tespañol\n".encode("latin-1") + "2\tJózef ♥\n".encode())
    assert list(blocks(path)) == [["1\tespañol", "2\tJózef ♥"]]


@pytest.mark.parametrize("end", [".gz", ".bz2", ".zip"])
def test_a_file_that_was_cut_short_is_named(tmp_path, end):
    content = "".join(f"{number}\t{number * 7919 % 1009}\n" for number in range(50_000)).encode()
    path = pack(tmp_path / "plays.tsv", content, end)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"plays\.tsv{end}: cannot be read to its end"):
        list(blocks(path))


def test_a_file_without_lines_is_not_read_into_memory(tmp_path):
    path = pack(tmp_path / "plays.tsv", b"x" * 5_000, "")
    with mock.patch.multiple(lines, BLOCK=100, LONGEST_LINE=1_000), pytest.raises(UserError, match="longer than 1,000"):
        list(blocks(path))


def test_the_unpacked_file_goes_first(tmp_path):
    assert find(tmp_path, "a.tsv") is None
    packed = pack(tmp_path / "a.tsv", b"packed", ".bz2")
    assert find(tmp_path, "a.tsv") == packed
    (tmp_path / "a.tsv").write_bytes(b"plain")
    assert find(tmp_path, "a.tsv") == tmp_path / "a.tsv"


@pytest.mark.parametrize(("header", "said"), [("id\tx", "names no name"), ("id\tid\tname", 'names "id" twice')])
def test_a_first_line_that_does_not_fit_is_the_users_to_mend(tmp_path, header, said):
    path = pack(tmp_path / "artists.dat", f"{header}\n1\t2\n".encode(), "")
    with pytest.raises(UserError, match=said):
        list(named_records(path, "tracks", ("id", "name")))


def test_a_file_with_nothing_in_it_is_named(tmp_path):
    (tmp_path / "tags.dat").write_bytes(b"")
    with pytest.raises(UserError, match=r"tags\.dat: empty file"):
        list(named_records(tmp_path / "tags.dat", "tracks", ("tagID",)))


def test_refused_rows_keep_their_content(tmp_path):
    frame = pl.DataFrame({"a": ["1", None, "3"], "b": [1, 2, 3]})
    reason = pl.when(pl.col("b") > 1).then(pl.format("b is {}", "b"))
    good, bad = refuse(frame, reason, "listens", tmp_path / "x.tsv")
    assert good.rows() == [("1", 1)]
    assert bad.rows() == [("listens", "x.tsv", "b is 2", "\t2"), ("listens", "x.tsv", "b is 3", "3\t3")]
