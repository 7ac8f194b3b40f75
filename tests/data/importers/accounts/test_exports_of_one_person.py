"""Last.fm, YouTube Music and Apple Music, in the forms in which services and exporters give them."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.errors import UserError
from data.importers.accounts import apple_music, lastfm, youtube_music
from data.importers.accounts.listenbrainz import read as read_listenbrainz
from data.importers.accounts.spotify_history import read as read_spotify
from data.importers.public import hetrec_lastfm, lastfm_1k, mpd
from data.tables import Imported, validate
from tests.data.part_tables import gathered

Write = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A folder of these files."""

    def put(files: dict[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / "given" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "given"

    return put


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)


class TestLastfm:
    MODERN = (
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        '"1270468794","05 Apr 2010, 11:59","Artist A","","","","Song A",""\n'
        '"1270468894","05 Apr 2010, 12:01","Artist B","","Album B","","Song ""B""",""\n'
    )
    PLAIN = 'Artist A,,Song A,05 Apr 2010 11:59\n"B, The",Album B,Song B,05 Apr 2010 12:01\n'
    LASTEXPORT = "1270468794\tSong A\tArtist A\tAlbum\t\t\t\n1270468894\tSong B\tArtist B\tAlbum B\t\t\t\n"
    OWN = "ISO time,unixtime,track name,track mbid,artist name\n2010-04-05T11:59:54Z,1270468794,Song A,,Artist A\n"
    LOG = (
        "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox\n"
        "Artist A\tAlbum\tSong A\t1\t200\tL\t1270468794\t\nArtist B\t\tSong B\t\t180\tS\t1270468894\t\n"
    )

    @pytest.mark.parametrize(
        ("name", "content", "songs"),
        [
            ("recenttracks-someone.csv", MODERN, [("artist a - song a", 59, 54), ('artist b - song "b"', 1, 34)]),
            ("someone.csv", PLAIN, [("artist a - song a", 59, 0), ("b, the - song b", 1, 0)]),
            ("export.tsv", LASTEXPORT, [("artist a - song a", 59, 54), ("artist b - song b", 1, 34)]),
            ("scrobbles.csv", OWN, [("artist a - song a", 59, 54)]),
            (".scrobbler.log", LOG, [("artist a - song a", 59, 54), ("artist b - song b", 1, 34)]),
        ],
    )
    def test_every_form(self, write: Write, name: str, content: str, songs: list[tuple[str, int, int]]) -> None:
        tables, rejects = gathered(lastfm.read(write({name: content})))
        listens = tables["listens"].select("user_id", "track_id", "listened_at").rows()
        assert [(user, track, when.minute, when.second) for user, track, when in listens] == [
            ("me", *song) for song in songs
        ]
        assert rejects.is_empty()
        alone, _ = gathered(lastfm.read(write({}) / name))
        assert alone["listens"].equals(tables["listens"])

    def test_a_skip_of_the_player_and_the_length(self, write: Write) -> None:
        tables, _ = gathered(lastfm.read(write({".scrobbler.log": self.LOG})))
        assert tables["listens"]["feedback"].to_list() == [None, "skip"]
        assert tables["tracks"]["duration_s"].to_list() == [200.0, 180.0]

    def test_what_two_files_hold_counts_once_and_is_said(self, write: Write) -> None:
        parts = list(lastfm.read(write({"a.csv": self.MODERN, ".scrobbler.log": self.LOG})))
        assert sum(frame.height for name, frame in parts if name == "listens") == 3
        (told,) = (frame for name, frame in parts if name == "remarks")
        assert told.select("what", "where", "rows").rows() == [("merged", "listens", 1)]

    def test_a_song_that_plays_now_is_a_reject(self, write: Write) -> None:
        _, rejects = gathered(lastfm.read(write({"a.csv": self.MODERN + ',,"Artist C","","","","Song C",""\n'})))
        assert rejects["reason"].to_list() == ["no time"]

    def test_what_is_none_is_refused(self, write: Write) -> None:
        with pytest.raises(UserError, match="no header names artist"):
            list(lastfm.read(write({"a.csv": "x,y\n1,2\n"})))


class TestYoutubeMusic:
    @staticmethod
    def play(
        title: str, video: str = "-e8Nfjl_AKk", channel: str | None = "Sault - Topic", header: str = "YouTube Music"
    ):
        found = {"header": header, "title": title, "time": "2022-04-25T18:09:04.784Z"}
        found |= {"titleUrl": f"https://music.youtube.com/watch?v={video}"} if video else {}
        return found | ({"subtitles": [{"name": channel, "url": "x"}]} if channel else {})

    def test_json(self, write: Write) -> None:
        plays = [
            self.play("Watched Solar"),
            self.play("Habe Heart angesehen", "b" * 11),
            self.play("Watched Hozier - Too Sweet (Official Video)", "c" * 11, "HozierVEVO"),
            self.play("Watched a cat", "d" * 11, "Cats", header="YouTube"),
            self.play("Watched a video that has been removed", "", None),
        ]
        given = write({"Takeout/YouTube and YouTube Music/history/watch-history.json": json.dumps(plays)})
        parts = list(youtube_music.read(given))
        tables, rejects = gathered(parts)
        assert tables["listens"]["track_id"].to_list() == [
            "sault - solar",
            "sault - heart",
            "hozier - too sweet (official video)",
        ]
        assert tables["listens"]["listened_at"][0] == at(2022, 4, 25, 18, 9, 4).replace(microsecond=784_000)
        assert rejects["reason"].to_list() == ["a song that is gone, without a name"]
        assert [frame["rows"].to_list() for name, frame in parts if name == "remarks"] == [[1]]

    def test_the_page_that_takeout_gives_unless_told_otherwise(self, write: Write) -> None:
        cell = (
            '<div class="outer-cell mdl-cell"><div class="mdl-grid"><div class="header-cell">'
            '<p class="mdl-typography--title">YouTube Music<br></p></div>'
            '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1">Watched '
            '<a href="https://music.youtube.com/watch?v=-e8Nfjl_AKk">Solar &amp; more</a><br>'
            '<a href="https://www.youtube.com/channel/UC">Sault - Topic</a><br>'
            "Apr 25, 2022, 11:09:04\u202fAM PDT<br></div></div></div>"
        )
        tables, rejects = gathered(youtube_music.read(write({"history/watch-history.html": f"<html>{cell}{cell}"})))
        assert (
            tables["listens"].select("track_id", "listened_at").rows()
            == [("sault - solar & more", at(2022, 4, 25, 18, 9, 4))] * 2
        )
        assert rejects.is_empty()

    def test_playlists_name_their_songs_by_history_and_library(self, write: Write) -> None:
        files: dict[str, str | bytes] = {
            "music-library-songs.csv": "Video ID,Song Title,Album Title,Artist Name 1,Artist Name 2\n"
            "bbbbbbbbbbb,S,Al,X,Y\n",
            "history/watch-history.json": json.dumps([self.play("Watched Solar")]),
            "playlists/Sunday-videos.csv": "Video ID,Playlist Video Creation Timestamp\n"
            "bbbbbbbbbbb,2023-01-02T03:04:05+00:00\n-e8Nfjl_AKk,2023-01-02T03:04:05+00:00\nccccccccccc,2023-01-03T00:00:00+00:00\n",
        }
        tables, _ = gathered(youtube_music.read(write(files)))
        assert tables["playlists"].select("playlist_id", "title").rows() == [("Sunday", "Sunday")]
        assert tables["playlist_tracks"]["track_id"].to_list() == ["x, y - s", "sault - solar", "youtube:ccccccccccc"]


class TestAppleMusic:
    HEADER = (
        "Album Name,Event Start Timestamp,Event Type,Media Duration In Milliseconds,Media Type,"
        "Play Duration Milliseconds,Song Name,End Reason Type,Client IP Address\n"
    )
    PLAYS = (
        "Al,2023-03-04T05:06:07.089Z,PLAY_END,200000,AUDIO,200100,Song,NATURAL_END_OF_TRACK,10.0.0.1\n"
        "Al,2023-03-04T05:16:07Z,PLAY_END,200000,AUDIO,5000,Song,TRACK_SKIPPED_FORWARDS,10.0.0.1\n"
        "Al,2023-03-04T05:16:07Z,PLAY_START,200000,AUDIO,,Song,,10.0.0.1\n"
        ",2023-03-05T05:16:07Z,PLAY_END,100000,AUDIO,50000,Other,PLAYBACK_MANUALLY_PAUSED,10.0.0.1\n"
        "Hits,2023-03-06T05:16:07Z,PLAY_END,100000,AUDIO,50000,Nobody's,,10.0.0.1\n"
        "Al,,PLAY_END,100000,AUDIO,50000,Song,,10.0.0.1\n"
    )
    LIBRARY = json.dumps([{"Title": "Song", "Artist": "Singer", "Album": "Al", "Genre": "Pop"}])
    DAILY = "Country,Track Description\nDE,Band - Other\nDE,Someone - Song\n"

    def check(self, path: Path) -> None:
        parts = list(apple_music.read(path))
        tables, rejects = gathered(parts)
        listens = validate(Imported(tables)).tables["listens"]
        assert listens["track_id"].to_list() == ["singer - song", "singer - song", "band - other", "hits - nobody's"]
        assert listens["played_ratio"].to_list() == pytest.approx([1.0, 0.025, 0.5, 0.5])
        assert listens["feedback"].to_list() == [None, "skip", None, None]
        assert listens["listened_at"][0] == at(2023, 3, 4, 5, 6, 7).replace(microsecond=89_000)
        assert rejects["reason"].to_list() == ["no time"]
        assert "10.0.0.1" not in str(rejects.rows())
        assert [frame["rows"].to_list() for name, frame in parts if name == "remarks"] == [[1]]

    def test_a_folder(self, write: Write) -> None:
        files: dict[str, str | bytes] = {
            f"Apple Music Activity/{apple_music.ACTIVITY}": self.HEADER + self.PLAYS,
            f"Apple Music Activity/{apple_music.LIBRARY}": self.LIBRARY,
            f"Apple Music Activity/{apple_music.DAILY}": self.DAILY,
        }
        self.check(write(files))

    def test_zips_inside_the_zip(self, write: Write) -> None:
        def packed(files: dict[str, str | bytes]) -> bytes:
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:
                for name, data in files.items():
                    archive.writestr(name, data)
            return content.getvalue()

        library = packed({apple_music.LIBRARY: self.LIBRARY})
        inner = packed(
            {
                apple_music.ACTIVITY: self.HEADER + self.PLAYS,
                "Apple Music Library Tracks.json.zip": library,
                apple_music.DAILY: self.DAILY,
            }
        )
        self.check(
            write({"Apple_Media_Services.zip": packed({"x/Apple Music Activity.zip": inner})})
            / "Apple_Media_Services.zip"
        )

    def test_without_the_list_of_plays(self, write: Write) -> None:
        with pytest.raises(UserError, match="no Apple Music Play Activity"):
            list(apple_music.read(write({apple_music.LIBRARY: self.LIBRARY})))


class TestSpotify:
    @staticmethod
    def play(number: int, **other: object) -> dict[str, object]:
        return {
            "ts": f"2021-11-15T13:4{number}:44Z",
            "ms_played": 200_000,
            "master_metadata_track_name": f"T{number}",
            "master_metadata_album_artist_name": "A",
            "spotify_track_uri": f"spotify:track:{number}",
            "reason_end": "trackdone",
            **other,
        }

    def test_exports_that_overlap_hold_each_play_once(self, write: Write) -> None:
        plays = [self.play(number) for number in range(3)]
        given = write(
            {"old/endsong_0.json": json.dumps(plays), "new/Streaming_History_Audio_2021_0.json": json.dumps(plays)}
        )
        parts = list(read_spotify(given))
        assert sum(frame.height for name, frame in parts if name == "listens") == 3
        assert [frame["rows"].to_list() for name, frame in parts if name == "remarks"] == [[3]]

    @pytest.mark.parametrize("stamp", [1_636_000_000, 1_636_000_000_000])
    def test_a_play_without_a_network_was_when_it_was(self, write: Write, stamp: int) -> None:
        plays = [self.play(0, offline=True, offline_timestamp=stamp), self.play(1, offline=True, offline_timestamp=0)]
        tables, _ = gathered(read_spotify(write({"endsong_0.json": json.dumps(plays)})))
        assert tables["listens"]["listened_at"].to_list() == [at(2021, 11, 4, 4, 26, 40), at(2021, 11, 15, 13, 41, 44)]

    def test_a_local_file_has_its_names_from_its_address(self, write: Write) -> None:
        local = "spotify:local:Some+Artist:Some+Album:My+Song:215"
        names = {"master_metadata_track_name": None, "master_metadata_album_artist_name": None}
        given = write({"endsong_0.json": json.dumps([self.play(0, spotify_track_uri=local, **names)])})
        tables, _ = gathered(read_spotify(given))
        assert tables["tracks"].select("title", "artist").rows() == [("My Song", "Some Artist")]


class TestListenbrainzIds:
    @staticmethod
    def listens(write: Write, *ids: object) -> list[str]:
        lines = [
            {
                "listened_at": 1_700_000_000 + number,
                "track_metadata": {
                    "artist_name": f"Artist {number}",
                    "track_name": f"Song {number}",
                    "additional_info": {"recording_mbid": value},
                },
            }
            for number, value in enumerate(ids)
        ]
        files: dict[str, str | bytes] = {"listens/2023/11.jsonl": "\n".join(map(json.dumps, lines))}
        tables, rejects = gathered(read_listenbrainz(write(files)))
        assert rejects.is_empty()
        return list(tables["listens"]["track_id"])

    def test_what_is_no_uuid_is_no_id(self, write: Write) -> None:
        found = self.listens(write, "None", "", "null", None, 17, "98255a8c")
        assert found == [f"artist {number} - song {number}" for number in range(6)]

    def test_one_uuid_in_several_spellings_is_one_song(self, write: Write) -> None:
        wanted = "98255a8c-017a-4bc7-8dd6-1fa36124572b"
        address = f"https://musicbrainz.org/recording/{wanted}"
        found = self.listens(write, wanted, wanted.upper(), wanted.replace("-", ""), f"{{{wanted}}}", address)
        assert set(found) == {wanted}


class TestPackedSets:
    PLAY = "user_000001\t2009-05-04T23:08:57Z\t\tDeep Dish\t\tSong\n"
    SONG = {"pos": 0, "track_uri": "spotify:track:1", "track_name": "L"}
    SLICE = json.dumps({"playlists": [{"name": "n", "pid": 7, "tracks": [SONG]}]})
    NAME = "1k/userid-timestamp-artid-artname-traid-traname.tsv"

    @pytest.mark.parametrize("ending", [".tar.gz", ".zip", ".tar"])
    def test_as_they_were_published(self, tmp_path: Path, ending: str) -> None:
        files = {self.NAME: self.PLAY, "mpd/mpd.slice.0-999.json": self.SLICE}
        path = tmp_path / f"set{ending}"
        if ending == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            with tarfile.open(path, "w:gz" if ending == ".tar.gz" else "w") as packed:
                for name, content in files.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    packed.addfile(info, io.BytesIO(content.encode()))
        plays, _ = gathered(lastfm_1k.read(path))
        assert plays["listens"].height == 1
        lists = dict(mpd.read(path))
        assert lists["playlist_tracks"]["track_id"].to_list() == ["spotify:track:1"]

    def test_one_that_is_not_read_packed_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "hetrec2011-lastfm-2k.zip").write_bytes(b"PK")
        with pytest.raises(UserError, match="unpack it"):
            list(hetrec_lastfm.read(tmp_path / "hetrec2011-lastfm-2k.zip"))
