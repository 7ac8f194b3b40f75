from contextlib import suppress
from datetime import date
from pathlib import Path, PurePosixPath

import mutagen
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.importers.formats.file_names import Guess, guess
from data.importers.library.importer import import_folder
from data.importers.library.tags import parse_day
from data.importers.playlists.locating import locate
from data.importers.playlists.m3u import parse
from data.importers.playlists.model import NoPlaylistError
from data.tables import validate
from tests.data.audio.sound_files import KINDS, cut, tone, write


@pytest.fixture
def library(tmp_path):
    """Two songs of an album, one loose song, and things that are not songs."""
    root = tmp_path / "library"
    write(root / "Queen/Jazz/01 Mustapha.flac", tone(1))
    write(root / "Queen/Jazz/02 Jealousy.OGG", tone(1))
    write(root / "03 - Abba - Waterloo.wav", tone(1))
    (root / "letter.mp3").write_text("Dear listener\n" * 99)
    (root / "empty.ogg").touch()
    write(root / ".hidden.wav", tone(1))
    write(root / ".trash/gone.wav", tone(1))
    (root / "cover.jpg").write_bytes(b"\xff\xd8")
    return root


def by_id(imported):
    return {row["track_id"]: row for row in imported.tables["tracks"].iter_rows(named=True)}


def test_reads_the_library(library):
    seen = []
    imported = import_folder(library, progress=lambda done, total: seen.append((done, total)))
    tracks = by_id(imported)
    assert list(tracks) == ["03 - Abba - Waterloo.wav", "Queen/Jazz/01 Mustapha.flac", "Queen/Jazz/02 Jealousy.OGG"]
    song = tracks["Queen/Jazz/01 Mustapha.flac"]
    assert (song["title"], song["artist"], song["album"]) == ("Mustapha", "Queen", "Jazz")
    assert song["duration_s"] == pytest.approx(1)
    assert song["audio_path"] == str((library / "Queen/Jazz/01 Mustapha.flac").resolve())
    assert dict(imported.rejects.select("source", "reason").iter_rows()) == {
        "empty.ogg": "empty file",
        "letter.mp3": "not audio (looks like text)",
    }
    assert seen == [(n, 5) for n in range(1, 6)]
    assert imported.facts["decoded_by"] == {"soundfile": 3, "av": 0}
    assert imported.facts["simulated"] is False
    assert validate(imported).tables["tracks"].height == 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "aac"])
def test_tags_beat_names(kind, tmp_path):
    path = write(tmp_path / f"x/01 wrong.{kind}", tone(1))
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    easy = kind not in ("wav",)
    if easy:
        file["title"], file["artist"], file["date"], file["genre"] = ["Right"], ["Me"], ["2019-06"], ["Rock; Pop"]
    else:
        for frame, text in (("TIT2", "Right"), ("TPE1", "Me"), ("TDRC", "2019-06"), ("TCON", "Rock; Pop")):
            file.tags.add(getattr(mutagen.id3, frame)(text=text))
    file.save()
    song = by_id(import_folder(tmp_path))[f"x/01 wrong.{kind}"]
    assert (song["title"], song["artist"], song["album"]) == ("Right", "Me", "x")
    assert song["genres"] == ["Rock", "Pop"]
    assert song["release_date"] == date(2019, 6, 1)


MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "aac"])
def test_the_recording_s_id_and_its_isrc_are_read(kind, tmp_path):
    """As MusicBrainz Picard writes them, https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html."""
    path = write(tmp_path / f"song.{kind}", tone(1))
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if kind in ("mp3", "wav"):
        file.tags.add(mutagen.id3.UFID(owner="http://musicbrainz.org", data=MBID.encode()))
        file.tags.add(mutagen.id3.TXXX(desc="MusicBrainz Release Track Id", text=MBID.replace("8", "9")))
        file.tags.add(mutagen.id3.TSRC(text="GBAYE0601498"))
    elif kind == "m4a":
        file["----:com.apple.iTunes:MusicBrainz Track Id"] = MBID.encode()
        file["----:com.apple.iTunes:ISRC"] = b"GB-AYE-06-01498"
    else:
        file["musicbrainz_trackid"], file["isrc"] = MBID.upper(), ["GBAYE0601498", "GBAYE0601499"]
    file.save()
    song = by_id(import_folder(tmp_path))[f"song.{kind}"]
    assert (song["mbid"], song["isrc"]) == (MBID, "GBAYE0601498")


def test_what_is_no_id_and_no_isrc_is_left_out(tmp_path):
    file = mutagen.File(write(tmp_path / "song.flac", tone(1)))
    file["musicbrainz_trackid"], file["isrc"] = "unknown", "12345"
    file.save()
    song = by_id(import_folder(tmp_path))["song.flac"]
    assert (song["mbid"], song["isrc"]) == (None, None)


def test_comments_of_machines_are_left_out(tmp_path):
    for name, comment in (("a", "A slow piano piece"), ("b", "http://x.org"), ("c", "Ripped by EAC")):
        file = mutagen.File(write(tmp_path / f"{name}.flac", tone(1)))
        file["comment"], file["mood"], file["language"] = comment, "calm", "eng"
        file.save()
    tracks = by_id(import_folder(tmp_path))
    assert [tracks[f"{name}.flac"]["description"] for name in "abc"] == ["A slow piano piece", None, None]
    assert tracks["a.flac"]["tags"] == ["calm"]
    assert tracks["a.flac"]["language"] == "eng"


def test_a_cut_file_stays_with_a_note_and_a_stump_goes(library):
    cut(write(library / "cut.wav", tone(4)), 0.5)
    cut(write(library / "stump.wav", tone(4)), 0.1)
    imported = import_folder(library)
    assert by_id(imported)["cut.wav"]["duration_s"] == pytest.approx(2, abs=0.1)
    assert imported.facts["notes"] == ["cut.wav: truncated: 2.0 s of 4.0 s decode"]
    assert ("stump.wav", "truncated: ends after 0.4 s") in imported.rejects.select("source", "reason").rows()


def test_links_that_leave_the_folder_are_not_followed(library, tmp_path):
    outside = write(tmp_path / "outside/secret.wav", tone(1))
    (library / "link.wav").symlink_to(outside)
    (library / "folder").symlink_to(outside.parent)
    (library / "again.ogg").symlink_to(library / "Queen/Jazz/02 Jealousy.OGG")
    (library / "hidden.wav").symlink_to(library / ".hidden.wav")
    (library / "list.m3u").write_text("again.ogg\nlink.wav\nfolder/secret.wav\n")
    imported = import_folder(library)
    assert len(by_id(imported)) == 4
    assert "hidden.wav" in by_id(imported)
    assert ("link.wav", "a link that leads out of the folder") in imported.rejects.select("source", "reason").rows()
    assert imported.tables["playlist_tracks"]["track_id"].to_list() == ["Queen/Jazz/02 Jealousy.OGG"]


def test_playlists(library, tmp_path):
    write(tmp_path / "other.wav", tone(1))
    absolute = library / "03 - Abba - Waterloo.wav"
    (library / "lists").mkdir()
    (library / "lists/sunday_best.m3u8").write_bytes(
        b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:123,Queen - Mustapha\r\n..\\Queen\\Jazz\\01 Mustapha.flac\r\n\r\n"
        + f"# a comment\r\n{absolute}\r\n../../other.wav\r\n/etc/passwd\r\nhttp://radio/x\r\nnone.mp3\r\n".encode()
        + b"../letter.mp3\r\n../queen/jazz/02 jealousy.ogg\r\n"
    )
    (library / "named.m3u").write_bytes("#PLAYLIST:Schöne Lieder\nletter.mp3\n".encode("latin-1"))
    imported = import_folder(library)
    assert imported.tables["playlists"].rows() == [
        ("lists/sunday_best.m3u8", "sunday best"),
        ("named.m3u", "Schöne Lieder"),
    ]
    assert imported.tables["playlist_tracks"].rows() == [
        ("lists/sunday_best.m3u8", 0, "Queen/Jazz/01 Mustapha.flac"),
        ("lists/sunday_best.m3u8", 1, "03 - Abba - Waterloo.wav"),
        ("lists/sunday_best.m3u8", 7, "Queen/Jazz/02 Jealousy.OGG"),
    ]
    reasons = [row[2:] for row in imported.rejects.iter_rows() if row[0] == "playlist_tracks"]
    assert reasons == [
        ("outside the folder", "../../other.wav"),
        ("outside the folder", "/etc/passwd"),
        ("a stream, not a file", "http://radio/x"),
        ("no such track", "none.mp3"),
        ("the file was rejected", "../letter.mp3"),
        ("the file was rejected", "letter.mp3"),
    ]
    assert validate(imported).tables["playlist_tracks"].height == 3


@given(st.text(), st.text())
def test_no_entry_ever_leads_outside(entry, folder):
    place = locate(entry, PurePosixPath("lists") / folder.strip("/") / "a.m3u", Path("/library"))
    assert isinstance(place, str) or ".." not in place.parts


@given(st.binary())
def test_any_bytes_are_a_playlist_of_something_or_none_with_a_reason(content):
    with suppress(NoPlaylistError):
        assert parse(content, "a_b.m3u").title


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("01 - Artist - Title.mp3", Guess("Title", "Artist")),
        ("Artist/Album/01 Title.flac", Guess("Title", "Artist", "Album")),
        ("Artist/Album/CD 1/01. Title.flac", Guess("Title", "Artist", "Album")),
        ("Various Artists/Hits/01 Title.flac", Guess("Title", None, "Hits")),
        ("aftermath_soundtrack/track25.opus", Guess("track25", None, "aftermath soundtrack")),
        ("games/some_game/dark_cave.ogg", Guess("dark cave", None, "some game")),
        ("99 Luftballons.mp3", Guess("99 Luftballons")),
        ("1999.mp3", Guess("1999")),
        ("07.mp3", Guess("07")),
        ("1-04 Artist_-_Some_Title.mp3", Guess("Some Title", "Artist")),
    ],
)
def test_names(path, expected):
    assert guess(PurePosixPath(path)) == expected


def test_a_number_without_a_zero_counts_among_numbered_files():
    assert guess(PurePosixPath("Abba/Gold/10 Waterloo.mp3"), in_numbered_folder=True) == Guess(
        "Waterloo", "Abba", "Gold"
    )


@given(st.text(min_size=1))
def test_every_name_gives_a_title(name):
    assert guess(PurePosixPath("a/b") / (name.replace("/", "") or "x")) is not None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2019", date(2019, 1, 1)),
        ("2019-06", date(2019, 6, 1)),
        ("2006-09-19 14:49:31", date(2006, 9, 19)),
        ("20190614", date(2019, 6, 14)),
        ("2019-00-00", date(2019, 1, 1)),
        ("2019-13-01", None),
        ("0000", None),
        ("soon", None),
    ],
)
def test_days(text, day):
    assert parse_day(text) == day


def test_no_music_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no music"):
        import_folder(tmp_path)
    with pytest.raises(UserError, match="missing"):
        import_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        import_folder(tmp_path / "file")
