import gzip
import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.importers.formats import json_records
from data.importers.formats.json_records import Broken, elements, lines, moment_of, number_of, text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=[1, 1 << 20], ids="window of {}".format)
def window(request, monkeypatch):
    """Where a window ends must not be seen in what is read."""
    monkeypatch.setattr(json_records, "CHUNK", request.param)


def read(content):
    return list(elements(io.BytesIO(content.encode() if isinstance(content, str) else content)))


@pytest.mark.usefixtures("window")
class TestElements:
    @given(st.lists(JSON), st.sampled_from([None, 1]), st.booleans())
    def test_of_an_array_are_what_the_standard_library_reads(self, values, indent, ascii_only):
        text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
        content = text.encode("utf-8", "replace")
        assert read(content) == [("", value) for value in json.loads(content)]

    @given(st.dictionaries(st.text(), st.lists(JSON) | JSON))
    def test_of_an_object_come_below_their_keys(self, values):
        content = json.dumps(values)
        expected = []
        for key, value in json.loads(content).items():
            expected += [(key, one) for one in value] if isinstance(value, list) else [(key, value)]
        assert read(content) == expected

    @given(st.lists(st.dictionaries(st.text(), st.integers()), min_size=1), st.data())
    def test_before_a_cut_all_come_and_then_what_is_broken(self, values, data):
        content = json.dumps(values)
        cut = data.draw(st.integers(1, len(content) - 1))
        *whole, (_, last) = read(content[:cut])
        assert [value for _, value in whole] == values[: len(whole)]
        assert last == Broken("ends in the middle of a record")
        assert len(whole) >= content[:cut].count("}, ")

    def test_a_mark_at_the_beginning_and_a_comma_at_the_end_do_not_matter(self):
        assert read(b"\xef\xbb\xbf [1, 22,\n ] ") == [("", 1), ("", 22)]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("", "empty file"),
            ("  \n", "empty file"),
            ("hello", "neither a JSON array nor an object"),
            ("[1 2, 3, 4, 5, 6, 7, 8, 9]", "no JSON from here on"),
            ("[" * 100_000, None),
        ],
    )
    def test_what_is_no_json_is_broken(self, content, reason):
        (_, last) = read(content)[-1]
        assert isinstance(last, Broken)
        assert reason in (None, last.reason)


def test_an_element_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(json_records, "LONGEST", 1000)
    monkeypatch.setattr(json_records, "CHUNK", 100)
    stream = io.BytesIO(b'["' + b"x" * 100_000)
    assert list(elements(stream)) == [("", Broken("no JSON from here on"))]
    assert stream.tell() < 2000


def test_lines_are_numbered_and_the_broken_ones_said(monkeypatch):
    monkeypatch.setattr(json_records, "LONGEST", 30)
    content = b'\xef\xbb\xbf{"a": 1}\r\n\n{"b"\n' + b"x" * 100 + b'\n"\xff"\n[' + b"[" * 20 + b'\n{"c": 2}'
    found = list(lines(io.BytesIO(content)))
    assert [number for number, _ in found] == [1, 3, 4, 5, 6, 7]
    assert [type(value) for _, value in found] == [dict, Broken, Broken, Broken, Broken, dict]
    assert found[1][1] == Broken("not JSON", '{"b"')


def test_a_cut_gzip_gives_what_was_whole():
    packed = gzip.compress("".join(f'{{"n": {n}}}\n' for n in range(10_000)).encode())
    with gzip.open(io.BytesIO(packed[: len(packed) // 2])) as stream:
        *whole, (_, last) = lines(stream)
    assert [value for _, value in whole] == [{"n": n} for n in range(len(whole))]
    assert len(whole) > 1000
    assert last.reason.startswith("damaged from here on")


def test_an_empty_file_is_said():
    assert list(lines(io.BytesIO(b""))) == [(0, Broken("empty file"))]


@given(st.text(alphabet=st.characters(codec=None)) | st.integers() | st.none())
def test_text_can_always_be_written(value):
    text = text_of(value)
    assert text is None or (text.encode() and text == text.strip())


def test_values():
    assert text_of(" Ärger \ud800") == "Ärger ?"
    assert [number_of(value) for value in ("12.5", 3, True, "nan", "x", None, 10**400)] == [12.5, 3, *[None] * 5]
    assert moment_of("2005-01-08T17:10:47-05:00") == datetime(2005, 1, 8, 22, 10, 47, tzinfo=UTC).timestamp() * 1e6
    assert moment_of("2022-09-28 18:36") == moment_of("2022-09-28T18:36:00Z")
    assert moment_of("2023-05-01") == moment_of("2023-05-01T00:00:00+00:00")
    assert [moment_of(value) for value in ("soon", "", 5, None)] == [None] * 4
