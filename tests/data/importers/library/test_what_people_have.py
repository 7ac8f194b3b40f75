"""Music folders as people have them: read right, or said. Each kind stands for many."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import av
import mutagen
import numpy as np
import polars as pl
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from mutagen.id3 import TALB, TDRC, TIT2, TPE1, TPE2, TXXX
from mutagen.mp3 import MP3

from data.importers.library.importer import import_folder
from data.importers.library.playlists import read_playlists
from data.importers.library.tags import read_tags
from data.importers.playlists.locating import Library
from data.tables import Imported

TONE = np.sin(np.arange(24_000) / 8).astype(np.float32) / 4


@pytest.fixture
def song(tmp_path: Path) -> Callable[..., Path]:
    """Write a tone with tags of Vorbis comments or, for mp3, of ID3 frames."""

    def write(name: str, *frames: Any, **tags: str | list[str]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, TONE, 16_000, format="MP3" if path.suffix == ".mp3" else "OGG")
        if frames:
            opened = MP3(path)
            opened.add_tags()
            for frame in frames:
                opened.tags.add(frame)
            opened.save()
        elif tags:
            found: Any = mutagen.File(path)
            for key, value in tags.items():
                found[key.replace("_", " ")] = value
            found.save()
        return path

    return write


def convert(source: Path, target: Path, codec: str, container: str, **metadata: str) -> None:
    """Another format of the same sound, by FFmpeg."""
    with av.open(str(source)) as given, av.open(str(target), "w", format=container) as made:
        made.metadata.update(metadata)
        stream = made.add_stream(codec, rate=16_000)
        for frame in given.decode(audio=0):
            frame.pts = None
            for packet in stream.encode(frame):
                made.mux(packet)
        for packet in stream.encode(None):
            made.mux(packet)


def names(found: Imported) -> list[str]:
    return found.tables["tracks"]["track_id"].to_list()


def passed(found: Imported) -> dict[str, int]:
    return dict(found.remarks.filter(what="passed over").select("reason", "rows").rows())


class TestTags:
    @pytest.mark.parametrize("name", ["!!!", "+/-", "÷", "❤", "...", "?", "311", "Various Cruelties", "VAST"])
    def test_names_of_symbols_are_names(self, song: Any, name: str) -> None:
        found = read_tags(song("a.ogg", title=name, artist=name))
        assert (found.title, found.artist) == (name, name)

    @pytest.mark.parametrize(
        "name",
        ["Unknown Artist", "Various Artists", "VA", "V.A.", "<unknown>", "[Unknown Artist]", "Diverse Interpreten"],
    )
    def test_placeholders_are_no_artists(self, song: Any, name: str) -> None:
        assert read_tags(song("a.ogg", artist=name)).artist is None
        assert read_tags(song("b.ogg", artist=name, albumartist="Band")).artist == "Band"

    @pytest.mark.parametrize(
        ("tags", "field", "wanted"),
        [
            ({"album_artist": "Band"}, "artist", "Band"),
            ({"artists": ["One", "Two"]}, "artist", "One, Two"),
            ({"date": "1998-2000"}, "release_date", date(1998, 1, 1)),
            ({"date": "14.06.2019"}, "release_date", date(2019, 6, 14)),
            ({"date": "1999-6-1"}, "release_date", date(1999, 6, 1)),
            ({"originalyear": "1970"}, "release_date", date(1970, 1, 1)),
            ({"title": "\ufeffG"}, "title", "G"),
            ({"language": ["eng", "fra"]}, "language", "eng"),
        ],
    )
    def test_fields_by_other_names_and_dates_in_other_words(
        self, song: Any, tags: dict[str, Any], field: str, wanted: object
    ) -> None:
        assert getattr(read_tags(song("a.ogg", **tags)), field) == wanted

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("Déjà vu".encode().decode("latin-1"), "Déjà vu"),
            ("Море".encode("cp1251").decode("latin-1"), "Море"),
            ("こんにちは".encode("shift_jis").decode("latin-1"), "こんにちは"),
            ("안녕하세요".encode("euc-kr").decode("latin-1"), "안녕하세요"),
            ("Zoë", "Zoë"),
        ],
    )
    def test_what_stands_in_a_frame_for_latin_1_is_put_right(self, song: Any, written: str, read: str) -> None:
        assert read_tags(song("a.mp3", TIT2(encoding=0, text=[written]))).title == read

    def test_what_cannot_be_put_right_is_nothing(self, song: Any) -> None:
        assert read_tags(song("a.mp3", TIT2(encoding=0, text=["\x93ú\x96{\x93"]))).title is None

    def test_id3_frames(self, song: Any) -> None:
        frames = [TPE2(encoding=3, text=["Various Artists"]), TXXX(encoding=3, desc="ARTISTS", text=["A", "B"])]
        frames += [
            TDRC(encoding=3, text=["1999-06"]),
            TALB(encoding=3, text=["÷"]),
        ]
        found = read_tags(song("a.mp3", *frames, TPE1(encoding=3, text=["VA"])))
        assert (found.artist, found.album, found.release_date) == ("A, B", "÷", date(1999, 6, 1))

    def test_riff_info(self, song: Any, tmp_path: Path) -> None:
        convert(song("a.ogg"), tmp_path / "a.wav", "pcm_s16le", "wav", title="In", artist="Chunk", date="2001")
        found = read_tags(tmp_path / "a.wav")
        assert (found.title, found.artist, found.release_date) == ("In", "Chunk", date(2001, 1, 1))

    def test_a_wrong_ending(self, song: Any) -> None:
        path = song("a.ogg", title="T", artist="X")
        path = path.rename(path.with_suffix(".mp3"))
        assert read_tags(path).title == "T"


class TestFolder:
    def test_formats_that_the_decoders_read(self, song: Any, tmp_path: Path) -> None:
        made = song("song.ogg")
        kinds = [
            ("song.aiff", "pcm_s16be", "aiff"),
            ("song.mka", "pcm_s16le", "matroska"),
            ("song.wv", "wavpack", "wv"),
        ]
        kinds += [("song.tta", "tta", "tta"), ("book.m4b", "aac", "mp4"), ("song.mp2", "mp2", "mp2")]
        for name, codec, container in kinds:
            convert(made, tmp_path / name, codec, container)
        assert names(import_folder(tmp_path)) == sorted(["song.ogg", *(name for name, _, _ in kinds)])

    def test_dots_at_the_beginning_of_names(self, song: Any, tmp_path: Path) -> None:
        for name in ("...And/...One.ogg", ".5 Chapter/.38.ogg", "ok.ogg", "._ok.ogg", ".hidden.ogg", ".cache/x.ogg"):
            song(name)
        found = import_folder(tmp_path)
        assert names(found) == ["...And/...One.ogg", ".5 Chapter/.38.ogg", "ok.ogg"]
        assert sum(passed(found).values()) == 3

    def test_what_is_passed_over_is_counted_with_an_example(self, song: Any, tmp_path: Path) -> None:
        for name in ("a.ogg", "$RECYCLE.BIN/old.ogg", ".Trash-1000/files/b.ogg", "@eaDir/c.ogg", ".snapshots/1/a.ogg"):
            song(name)
        for name in ("cover.jpg", "back.JPG", "rip.log", "album.cue", "README"):
            (tmp_path / name).write_text("x")
        outside = tmp_path.parent / f"{tmp_path.name}-outside"
        outside.mkdir()
        (tmp_path / "more").symlink_to(outside)
        found = import_folder(tmp_path)
        assert names(found) == ["a.ogg"]
        told = passed(found)
        assert told["folders of bins, snapshots and systems"] == 4
        assert told["files that end in .jpg"] == 2
        assert told["links to folders outside"] == told["files without an ending"] == 1
        assert any("cue" in reason for reason in told)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_what_may_not_be_read(self, song: Any, tmp_path: Path) -> None:
        song("a.ogg")
        song("private/b.ogg")
        (tmp_path / "list.m3u").write_text("a.ogg\n")
        (tmp_path / "list.m3u").chmod(0)
        (tmp_path / "private").chmod(0)
        try:
            found = import_folder(tmp_path)
        finally:
            (tmp_path / "private").chmod(0o755)
        assert found.rejects["reason"].to_list() == ["cannot be read (Permission denied)"]
        assert passed(found) == {"a folder that cannot be read (Permission denied)": 1}

    def test_one_file_does_not_end_the_import(self, song: Any, tmp_path: Path) -> None:
        song("a.ogg")
        os.mkfifo(tmp_path / "pipe.m3u")
        os.mkfifo(tmp_path / "pipe.ogg")
        (tmp_path / "gone.m3u").symlink_to("nowhere.m3u")
        (tmp_path / "page.m3u").write_text("<!DOCTYPE html><html>404</html>")
        (tmp_path / "hls.m3u8").write_text("#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nseg0.ts\n")
        found = import_folder(tmp_path)
        assert names(found) == ["a.ogg"]
        rejects = dict(found.rejects.select("source", "reason").rows())
        assert rejects.keys() == {"pipe.m3u", "pipe.ogg", "gone.m3u", "page.m3u", "hls.m3u8"}
        assert rejects["pipe.m3u"] == "not a regular file"
        assert rejects["page.m3u"] == "a web page, not a playlist"


class TestPlaylists:
    SONGS = ("Artist Name/Album/01 Song One.ogg", "Artist Name/Album/02 Don’t Go.ogg", "Artist Name/Album/05 Море.ogg")

    @pytest.fixture
    def listed(self, song: Any, tmp_path: Path) -> Callable[[str, str | bytes], list[str]]:
        """Write a playlist beside the library; the songs that it is found to hold."""
        for name in self.SONGS:
            song(name, title=Path(name).stem[3:], artist="Artist Name")

        def write(name: str, content: str | bytes) -> list[str]:
            path = tmp_path / "lists" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            found = import_folder(tmp_path).tables["playlist_tracks"]
            return found.filter(pl.col("playlist_id") == f"lists/{name}")["track_id"].to_list()

        return write

    @pytest.mark.parametrize(
        "entry",
        [
            "../Artist%20Name/Album/02%20Don%E2%80%99t%20Go.ogg",
            "..\\Artist Name\\Album\\02 Don’t Go.ogg",
            "..\\Artist Name/Album\\02 Don’t Go.ogg",
            "Artist Name/Album/02 Don’t Go.ogg",
            "D:\\Music\\Artist Name\\Album\\02 Don’t Go.ogg",
            "/home/someone/Music/Artist Name/Album/02 Don’t Go.ogg",
            "file:///C:/Music/Artist%20Name/Album/02%20Don%E2%80%99t%20Go.ogg",
            "#EXTINF:200,Artist Name - Don’t Go\nelsewhere/77.mp3",
            "Artist Name - Don’t Go",
        ],
    )
    def test_one_song_in_many_words(self, listed: Any, entry: str) -> None:
        assert listed("list.m3u8", f"#EXTM3U\n{entry}\n") == [self.SONGS[1]]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1251"])
    def test_encodings(self, listed: Any, encoding: str) -> None:
        assert listed("list.m3u", f"..\\{self.SONGS[2]}\r\n".encode(encoding)) == [self.SONGS[2]]

    def test_windows_1252_with_its_own_quotes_and_dots(self, listed: Any) -> None:
        content = f"..\\{self.SONGS[0]}\r\n..\\{self.SONGS[1]}\r\n..\\Wait…\r\n".encode("cp1252")
        assert listed("list.m3u", content) == list(self.SONGS[:2])

    @pytest.mark.parametrize(
        ("name", "encoding"),
        [("Žluťoučký", "cp1250"), ("こんにちは", "shift_jis"), ("Ελλάδα", "cp1253"), ("Señor", "cp437")],
    )
    def test_of_other_encodings_the_one_in_which_songs_are_found(
        self, listed: Any, song: Any, name: str, encoding: str
    ) -> None:
        song(f"Artist Name/Album/{name}.ogg")
        content = f"#EXTM3U\r\n../Artist Name/Album/{name}.ogg\r\n".encode(encoding)
        assert listed("list.m3u", content) == [f"Artist Name/Album/{name}.ogg"]

    def test_xspf_and_jspf(self, listed: Any) -> None:
        location = f"../{self.SONGS[1]}".replace(" ", "%20").replace("’", "%E2%80%99")
        track = f"<trackList><track><location>{location}</location></track></trackList>"
        xspf = f'<playlist version="1" xmlns="http://xspf.org/ns/0/">{track}</playlist>'
        assert listed("list.xspf", xspf) == [self.SONGS[1]]
        jspf = {"playlist": {"track": [{"title": "Song One", "creator": "Artist Name"}]}}
        assert listed("list.jspf", json.dumps(jspf)) == [self.SONGS[0]]

    @given(
        lines=st.lists(st.sampled_from(["a.ogg", "b%20c.ogg", "# x", "", "gone.ogg", "http://x/y", "C:\\\\a.ogg", "é"]))
    )
    def test_entries_in_are_entries_found_or_rejected(self, lines: list[str]) -> None:
        with TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "list.m3u8").write_text("\n".join(lines))
            library = Library.of(root, {PurePosixPath(name): name for name in ("a.ogg", "b c.ogg")}, {})
            tables, rejects = read_playlists(library, [PurePosixPath("list.m3u8")], frozenset())
        entries = [line for line in lines if line and not line.startswith("#")]
        assert tables["playlist_tracks"].height + rejects.height == len(entries)

    def test_pls_and_wpl(self, listed: Any) -> None:
        pls = f"[playlist]\nFile2=../{self.SONGS[1]}\nFile1=../{self.SONGS[0]}\nNumberOfEntries=2\n"
        assert listed("list.pls", pls) == list(self.SONGS[:2])
        media = f'<media src="..\\{self.SONGS[0]}"/>'.replace("/Album", "\\Album")
        assert listed("list.wpl", f"<?wpl version='1.0'?><smil><body><seq>{media}</seq></body></smil>") == [
            self.SONGS[0]
        ]

    def test_an_end_that_several_songs_have_means_none(self, song: Any, tmp_path: Path) -> None:
        for folder in ("A/Live", "B/Live"):
            song(f"{folder}/01 Intro.ogg")
        (tmp_path / "list.m3u").write_text("/other/Live/01 Intro.ogg\n")
        found = import_folder(tmp_path)
        assert found.tables["playlist_tracks"].is_empty()
        assert found.rejects["reason"].to_list() == ["outside the folder"]


def test_the_closing_table_says_it(song: Any, tmp_path: Path) -> None:
    song("a.ogg")
    (tmp_path / "cover.jpg").write_text("x")
    command = [sys.executable, "-m", "data.prepare", "folder", "--path", str(tmp_path), "-w", str(tmp_path / ".ws")]
    root = str(Path(__file__).parents[4])
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": root, "PATH": "/bin"}
    )
    assert "passed over folder" in ended.stderr
    assert "files that end in .jpg" in ended.stderr
