"""Playlists as VLC, ListenBrainz and file players write them; and such as nobody should read further."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.importers.playlists import importer as playlists
from data.importers.playlists import xspf
from data.importers.playlists.importer import read
from data.importers.playlists.jspf import parse_jspf
from data.importers.playlists.model import NoPlaylistError
from data.importers.playlists.xspf import parse_xspf
from tests.data.handed_over import refused, valid

MBID = "e8f9b188-f819-4e43-ab0f-4bd26ce9ff56"

JSPF = {
    "playlist": {
        "title": "1980s flashback jams",
        "annotation": "from <b>Troi</b>",
        "creator": "troi-bot",
        "date": "2005-01-08T17:10:47-05:00",
        "identifier": "https://listenbrainz.org/playlist/7f4cf4d3-f5ca-453a-b5c8-00e8a30a9bac",
        "extension": {"https://musicbrainz.org/doc/jspf#playlist": {"last_modified_at": "2020-11-27T10:45:49+00:00"}},
        "track": [
            {
                "title": "Gold",
                "identifier": [f"https://musicbrainz.org/recording/{MBID.upper()}"],
                "creator": "Spandau Ballet",
                "album": "True",
                "duration": 287_000,
                "extension": {"https://musicbrainz.org/doc/jspf#track": {"added_at": "2020-11-27T10:45:49+00:00"}},
            },
            {"title": "One", "creator": "A", "identifier": "spotify:track:1", "location": ["http://example.com/1.ogg"]},
            {"title": "Two", "creator": "A", "location": ["file:///elsewhere/2.mp3", "http://example.com/2.mp3"]},
            {"title": "Three", "creator": "A", "location": "sub/3%20%C3%A4.mp3", "duration": None},
            {"title": "Four", "creator": "Ä", "location": "../../4.mp3"},
            {"title": "Five", "identifier": ["file:///elsewhere/5.mp3"]},
            {},
        ],
    }
}
XSPF = """<?xml version="1.0" encoding="UTF-8"?>
<playlist xmlns="http://xspf.org/ns/0/" xmlns:vlc="http://www.videolan.org/vlc/playlist/ns/0/" version="1">
  <title>Rock &amp; Röll</title><creator>me</creator><date>2020-02-03T14:29:59.199202+03:00</date>
  <trackList>
    <track>
      <location>file:///elsewhere/killer_queen.mp3</location><title>Killer Queen</title><creator>Queen</creator>
      <album>Sheer Heart Attack</album><duration>177000</duration>
      <extension application="http://www.videolan.org/vlc/playlist/0"><vlc:id>0</vlc:id><title>no</title></extension>
    </track>
    <track><location>a/one%20%26%20two.ogg</location></track>
    <track><identifier>http://musicbrainz.org/recording/MBID</identifier><title>Gold</title></track>
    <track><title>nameless</title></track>
  </trackList>
  <extension application="http://www.videolan.org/vlc/playlist/0"><vlc:item tid="0"/></extension>
</playlist>
""".replace("MBID", MBID)
M3U8 = """#EXTM3U
#PLAYLIST:Sonntag
#EXTINF:123,Queen - Mustapha
..\\Queen\\100%25 Mustapha.flac
#EXTINF:-1 tvg-id="x, y" group-title="News",Radio One
http://radio.example.com/x
#EXTINF:200,Abba - Waterloo
http://example.com/waterloo.mp3
#EXTINF:99,Abba - SOS - live
/elsewhere/sos.mp3
/elsewhere/bare.mp3
C:\\Music\\bare.mp3
file://[half
"""


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def library(tmp_path):
    return write(
        tmp_path / "library",
        {
            "lists/flashback.jspf": "\ufeff" + json.dumps(JSPF),
            "rock.XSPF": XSPF,
            "lists/my_sunday.m3u8": "\ufeff" + M3U8.replace("\n", "\r\n"),
            "old.m3u": "Schöne Lieder/1.mp3\n".encode("latin-1"),
            "notes.txt": "nothing",
            ".hidden.m3u8": "x.mp3",
        },
    )


def test_every_format(library):
    found = valid(read(library))
    lists = found.tables["playlists"].select("playlist_id", "title", "description", "user_id", "modified_at").rows()
    assert lists == [
        (
            "lists/flashback.jspf",
            "1980s flashback jams",
            "from <b>Troi</b>",
            "troi-bot",
            datetime(2020, 11, 27, 10, 45, 49, tzinfo=UTC),
        ),
        ("lists/my_sunday.m3u8", "Sonntag", None, None, None),
        ("old.m3u", "old", None, None, None),
        ("rock.XSPF", "Rock & Röll", None, "me", datetime(2020, 2, 3, 11, 29, 59, 199202, UTC)),
    ]
    assert found.tables["playlist_tracks"].select("playlist_id", "position", "track_id").rows() == [
        ("lists/flashback.jspf", 0, MBID),
        ("lists/flashback.jspf", 1, "spotify:track:1"),
        ("lists/flashback.jspf", 2, "http://example.com/2.mp3"),
        ("lists/flashback.jspf", 3, "lists/sub/3 ä.mp3"),
        ("lists/flashback.jspf", 4, "ä - four"),
        ("lists/my_sunday.m3u8", 0, "Queen/100%25 Mustapha.flac"),
        ("lists/my_sunday.m3u8", 2, "http://example.com/waterloo.mp3"),
        ("lists/my_sunday.m3u8", 3, "abba - sos - live"),
        ("old.m3u", 0, "Schöne Lieder/1.mp3"),
        ("rock.XSPF", 0, "queen - killer queen"),
        ("rock.XSPF", 1, "a/one & two.ogg"),
        ("rock.XSPF", 2, MBID),
    ]
    assert found.tables["playlist_tracks"]["added_at"][0] == datetime(2020, 11, 27, 10, 45, 49, tzinfo=UTC)
    tracks = {row["track_id"]: row for row in found.tables["tracks"].iter_rows(named=True)}
    assert {track: row["mbid"] for track, row in tracks.items() if row["mbid"]} == {MBID: MBID}
    gold, queen, sos = tracks[MBID], tracks["queen - killer queen"], tracks["abba - sos - live"]
    assert (gold["title"], gold["artist"], gold["album"], gold["duration_s"]) == ("Gold", "Spandau Ballet", "True", 287)
    assert (queen["title"], queen["artist"], queen["duration_s"]) == ("Killer Queen", "Queen", 177)
    assert (sos["title"], sos["artist"], sos["duration_s"]) == ("SOS - live", "Abba", 99)
    assert {row["audio_path"] for row in tracks.values()} == {None}
    assert refused(found) == [
        ("playlist_tracks", "lists/flashback.jspf", "nothing says which song it is"),
        ("playlist_tracks", "lists/flashback.jspf", "nothing says which song it is"),
        ("playlist_tracks", "lists/my_sunday.m3u8", "a stream, not a file"),
        ("playlist_tracks", "lists/my_sunday.m3u8", "outside the folder"),
        ("playlist_tracks", "lists/my_sunday.m3u8", "outside the folder"),
        ("playlist_tracks", "lists/my_sunday.m3u8", "outside the folder"),
        ("playlist_tracks", "rock.XSPF", "nothing says which song it is"),
    ]


def test_one_file(library):
    found = valid(read(library / "rock.XSPF"))
    assert found.tables["playlists"]["playlist_id"].to_list() == ["rock.XSPF"]
    assert found.tables["playlist_tracks"].height == 3


def test_paths_inside_the_folder_are_the_same_however_they_are_written(tmp_path):
    inside = tmp_path / "a b.mp3"
    uri, path = inside.as_uri(), str(inside)
    track = "<playlist><trackList><track><location>{}</location></track></trackList></playlist>"
    write(
        tmp_path,
        {
            "1.m3u8": "a b.mp3",
            "2.m3u8": path,
            "3.m3u8": uri,
            "4.xspf": track.format(uri),
            "5.xspf": track.format("a%20b.mp3"),
            "6.xspf": track.format(uri.replace("file:///", "file:/")),
            "7.xspf": track.format("x/../a%20b.mp3"),
            "8.jspf": json.dumps({"playlist": {"track": [{"location": [uri]}]}}),
        },
    )
    found = valid(read(tmp_path))
    assert found.tables["playlist_tracks"]["track_id"].to_list() == ["a b.mp3"] * 8


def test_a_base_of_the_document_counts():
    content = b'<playlist xml:base="http://example.com/music/"><trackList><track><location>1.ogg</location></track>'
    assert parse_xspf(content + b"</trackList></playlist>").entries[0].locations == ("http://example.com/music/1.ogg",)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ATTACKS = {
    "laughs": f'<!DOCTYPE playlist [<!ENTITY l0 "ha">{LAUGHS}]><playlist><title>&l9;</title></playlist>',
    "outside": '<!DOCTYPE playlist [<!ENTITY x SYSTEM "file:///etc/passwd">]><playlist><title>&x;</title></playlist>',
    "parameter": '<!DOCTYPE playlist [<!ENTITY % x SYSTEM "http://example.com/x"> %x;]><playlist/>',
    "type": '<!DOCTYPE playlist SYSTEM "http://example.com/x.dtd"><playlist><title>x</title></playlist>',
    "deep": "<playlist>" + "<a>" * 1_000_000,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_and_the_rest_is_read(tmp_path, attack):
    with pytest.raises(NoPlaylistError, match="document type" if attack != "deep" else "inside each other"):
        parse_xspf(ATTACKS[attack].encode())
    write(tmp_path, {"bad.xspf": ATTACKS[attack], "good.xspf": XSPF})
    found = valid(read(tmp_path))
    assert found.tables["playlists"]["playlist_id"].to_list() == ["good.xspf"]
    assert refused(found)[0][:2] == ("playlists", "bad.xspf")


def test_what_expat_would_do_without_our_care():
    """The attack is real: the same document without our handler does declare and expand entities."""
    parser = xspf.expat.ParserCreate()
    said = []
    parser.CharacterDataHandler = said.append
    parser.Parse(b'<!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><p>&b;</p>', True)
    assert "".join(said) == "hahaha"


def test_damaged_files_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(playlists, "LARGEST", 5000)
    outside = write(tmp_path / "outside", {"secret.m3u8": "x.mp3"})
    write(
        tmp_path / "lists",
        {
            "cut.jspf": json.dumps(JSPF)[:-9],
            "cut.xspf": XSPF[: XSPF.index("<title>nameless")],
            "early.xspf": XSPF[:300],
            "empty.jspf": b"\xef\xbb\xbf",
            "empty.m3u8": "\n",
            "huge.m3u8": "x.mp3\n" * 1000,
            "list.jspf": "[]",
            "page.xspf": "<html/>",
            "utf16.m3u": "Ä/1.mp3".encode("utf-16"),
            "zero.jspf": '{"playlist": {"track": [null, 5, {"title": "\\ud800", "creator": "B", "duration": "x"}]}}',
        },
    )
    (tmp_path / "lists/link.m3u8").symlink_to(outside / "secret.m3u8")
    found = valid(read(tmp_path / "lists"))
    assert found.tables["playlist_tracks"].select("playlist_id", "track_id").rows() == [
        ("cut.xspf", "queen - killer queen"),
        ("cut.xspf", "a/one & two.ogg"),
        ("cut.xspf", MBID),
        ("utf16.m3u", "Ä/1.mp3"),
        ("zero.jspf", "b - ?"),
    ]
    reasons = {(source, reason.partition(" (")[0]) for _, source, reason in refused(found)}
    assert reasons == {
        ("cut.jspf", "not JSON, or cut"),
        ("cut.xspf", "not XML, or cut, from here on"),
        ("early.xspf", "not XML, or cut"),
        ("empty.jspf", "not JSON, or cut"),
        ("empty.m3u8", "empty file"),
        ("huge.m3u8", "larger than 0 MiB"),
        ("link.m3u8", "a link that leads out of the folder"),
        ("list.jspf", 'no "playlist" in it'),
        ("page.xspf", "it is <html>, not <playlist>"),
        ("zero.jspf", "nothing says which song it is"),
    }


@given(st.binary())
def test_no_bytes_break_a_parser(content):
    for parse in (parse_jspf, parse_xspf):
        for given_ in (content, b"<playlist>" + content, b'{"playlist":' + content):
            with suppress(NoPlaylistError):
                assert isinstance(parse(given_).entries, list)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_no_location_leads_out_of_the_folder(identifiers, locations):
    entry = playlists.Entry(tuple(locations), tuple(identifiers))
    track, reason = playlists._identify(entry, playlists.PurePosixPath("lists/a.xspf"), Path("/library"))
    if track is None:
        assert reason
    elif not identifiers and not playlists.WEB.match(track):
        assert not track.startswith("/")
        assert ".." not in track.split("/")


def test_nothing_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no playlist"):
        list(read(tmp_path))
    with pytest.raises(UserError, match="missing"):
        list(read(tmp_path / "nowhere"))
    (tmp_path / "song.mp3").touch()
    with pytest.raises(UserError, match="no playlist"):
        list(read(tmp_path / "song.mp3"))
