"""Small exports with the fields and file names of Spotify's own."""

import json
import zipfile
from datetime import UTC, datetime

import pytest

from data.errors import UserError
from data.importers.accounts.spotify_history import read
from tests.data.handed_over import refused, valid

ADDRESS = "92.40.248.131"
SONG, OTHER = "spotify:track:74cksX4vgcm0cHKaV7XE2L", "spotify:track:56O4WlGoUJiwfwoyRYqTe9"


def play(ts, ms, uri=SONG, end="trackdone", **more):
    """A record of the extended streaming history, all its fields."""
    record = {
        "ts": ts,
        "username": "secretname",
        "platform": "iOS 13.4 (iPhone11,8)",
        "ms_played": ms,
        "conn_country": "SG",
        "ip_addr": ADDRESS,
        "ip_addr_decrypted": ADDRESS,
        "user_agent_decrypted": "unknown",
        "master_metadata_track_name": "Jack To The Future",
        "master_metadata_album_artist_name": "Alex Métric",
        "master_metadata_album_album_name": "Jack",
        "spotify_track_uri": uri,
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "audiobook_title": None,
        "audiobook_uri": None,
        "audiobook_chapter_uri": None,
        "audiobook_chapter_title": None,
        "reason_start": "trackdone",
        "reason_end": end,
        "shuffle": False,
        "skipped": None,
        "offline": False,
        "offline_timestamp": None,
        "incognito_mode": False,
    }
    return record | more


NOTHING = dict.fromkeys(
    ("master_metadata_track_name", "master_metadata_album_artist_name", "master_metadata_album_album_name")
)
FOLDER = "Spotify Extended Streaming History"
EXTENDED = {
    f"{FOLDER}/ReadMeFirst_ExtendedStreamingHistory.pdf": "%PDF",
    f"{FOLDER}/Streaming_History_Audio_2019-2020_0.json": json.dumps(
        [
            play("2019-04-11T00:27:53Z", 200_000),
            play("2019-04-11T01:00:00Z", 50_000, end="fwdbtn", skipped=True),
            play("2019-04-11T02:00:00Z", 100_000, end="endplay", skipped=False),
            play("2019-04-11T03:00:00Z", 5_000, end="fwdbtn"),
            play("2019-04-11T04:00:00Z", 12_000, uri=OTHER, end="trackerror"),
            play("2019-04-11T05:00:00Z", 90_000, uri=OTHER, end="logout"),
        ],
        ensure_ascii=False,
    ),
    f"{FOLDER}/Streaming_History_Audio_2020-2021_1.json": "\ufeff"
    + json.dumps(
        [
            play("2020-04-11T00:27:53Z", 200_000),
            play("2020-04-11T00:30:00Z", 3_000),  # jumped to the end
            play("2020-04-11T00:40:00Z", 450_000, end="endplay"),  # jumped back
            play(
                "2020-04-12T00:00:00Z", 9, None, **NOTHING, episode_name="Ep", spotify_episode_uri="spotify:episode:x"
            ),
            play("2020-04-12T01:00:00Z", 9, None, **NOTHING, audiobook_title="Book"),
            play("2020-04-12T02:00:00Z", 200_000, incognito_mode=True),
            play("2020-04-12T03:00:00Z", 200_000, None, **NOTHING),
            play("someday", 200_000),
            play("2020-04-12T04:00:00Z", -1, None),
            7,
        ],
        indent=2,
    ),
    f"{FOLDER}/Streaming_History_Video_2020.json": json.dumps([play("2020-04-11T00:27:53Z", 1)]),
}


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return root


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("shape", ["folder", "zip"])
def test_an_extended_history(tmp_path, shape):
    found = valid(read(write(tmp_path, EXTENDED) if shape == "folder" else zipped(tmp_path / "my.zip", EXTENDED)))
    listens = found.tables["listens"]
    # Three plays ended by themselves, after 200, 200 and 3 seconds: 200 is the length.
    assert listens.select("track_id", "played_ratio", "feedback").rows() == [
        (SONG, 1.0, None),
        (SONG, 0.25, "skip"),
        (SONG, 0.5, None),
        (SONG, pytest.approx(0.025), "skip"),
        (OTHER, pytest.approx(0.2), None),
        (OTHER, None, None),
        (SONG, 1.0, None),
        (SONG, pytest.approx(0.015), None),
        (SONG, 1.0, None),
        ("alex métric - jack to the future", None, None),
    ]
    assert listens["user_id"].unique().to_list() == ["me"]
    assert listens["listened_at"][0] == datetime(2019, 4, 11, 0, 27, 53, tzinfo=UTC)
    song = found.tables["tracks"].row(0, named=True)
    assert (song["title"], song["artist"], song["album"]) == ("Jack To The Future", "Alex Métric", "Jack")
    assert (song["track_id"], song["duration_s"]) == (SONG, 200.0)
    second = f"{FOLDER}/Streaming_History_Audio_2020-2021_1.json"
    assert refused(found) == [
        ("listens", f"{second}:3", "a podcast"),
        ("listens", f"{second}:4", "an audiobook"),
        ("listens", f"{second}:5", "a private session"),
        ("listens", f"{second}:6", "no track named"),
        ("listens", f"{second}:7", "no time"),
        ("listens", f"{second}:9", "not a JSON object"),
    ]


def everything(found):
    return "".join(frame.write_json() for frame in (*found.tables.values(), found.rejects))


def test_nothing_personal_is_kept(tmp_path):
    cut = json.dumps([play("2019-04-11T00:27:53Z", 200_000)] * 3)[:-150]
    path = write(tmp_path, EXTENDED | {"endsong_0.json": cut})
    found = valid(read(path))
    assert ("listens", "endsong_0.json:2", "ends in the middle of a record") in refused(found)
    for secret in (ADDRESS, "secretname", "iPhone", '"SG"'):
        assert secret not in everything(found)
    assert ADDRESS in cut[cut.rindex("{") :]


ITEMS = [
    {
        "track": {"trackName": "Maniac", "artistName": "Flower Face", "albumName": "Baby Teeth", "trackUri": OTHER},
        "episode": None,
        "localTrack": None,
        "addedDate": "2023-04-30",
    },
    {"track": None, "episode": {"episodeName": "E", "showName": "S", "episodeUri": "spotify:episode:y"}},
    {"track": None, "episode": None, "localTrack": {"uri": "spotify:local:Oasis:Morning+Glory:Wonderwall:258"}},
    {"track": None, "episode": None, "audiobook": {"name": "B"}, "localTrack": None},
    {"track": None, "episode": None, "localTrack": None},
    None,
    {"track": {"trackName": "No Address", "artistName": "X"}, "addedDate": None},
]
ACCOUNT = {
    "Spotify Account Data/Playlist1.json": json.dumps(
        {
            "playlists": [
                {
                    "name": "Rainy 🌧 Sunday",
                    "lastModifiedDate": "2023-05-01",
                    "items": ITEMS,
                    "description": "slow",
                    "numberOfFollowers": 0,
                },
                {"name": "Rainy 🌧 Sunday", "lastModifiedDate": "2022-01-01", "items": [], "description": None},
            ]
        }
    ),
    "Spotify Account Data/YourLibrary.json": json.dumps(
        {
            "tracks": [
                {"artist": "Queen", "album": "A Night At The Opera", "track": "Bohemian Rhapsody", "uri": SONG},
                {"artist": "Green Day", "album": "Nimrod", "track": "All the Time"},
                {"artist": "Nobody"},
            ],
            "albums": [{"artist": "Queen", "album": "Jazz", "uri": "spotify:album:z"}],
            "shows": [],
            "bannedTracks": [{"artist": "X", "track": "Y", "uri": "spotify:track:banned"}],
            "artists": [],
        },
    ),
    "Spotify Account Data/StreamingHistory_music_0.json": json.dumps(
        [
            {
                "endTime": "2022-09-28 18:36",
                "artistName": "QUEEN",
                "trackName": "Bohemian  Rhapsody",
                "msPlayed": 200_000,
            },
            {
                "endTime": "2022-09-28 18:36",
                "artistName": "Foo Fighters",
                "trackName": "Monkey Wrench",
                "msPlayed": 1500,
            },
            {"endTime": "2022-09-28 18:40", "artistName": "Foo Fighters", "trackName": "", "msPlayed": 1500},
        ],
        indent=2,
    ),
    "Spotify Account Data/StreamingHistory_music_1.json": json.dumps(
        [
            {
                "endTime": "2022-10-01 09:00",
                "artistName": "Foo Fighters",
                "trackName": "Monkey Wrench",
                "msPlayed": 231000,
            }
        ]
    ),
    "Spotify Account Data/StreamingHistory_podcast_0.json": json.dumps(
        [{"endTime": "2022-10-01 09:00", "podcastName": "P", "episodeName": "E", "msPlayed": 1}]
    ),
    "Spotify Account Data/Userdata.json": json.dumps({"username": "secretname", "email": "a@b.c"}),
}


def test_account_data(tmp_path):
    found = valid(read(write(tmp_path, ACCOUNT)))
    wrench = "foo fighters - monkey wrench"
    assert found.tables["listens"].select("track_id", "position", "played_ratio", "feedback").rows() == [
        # The library knows the address of what the history only names.
        (SONG, 0, None, None),
        (wrench, 1, pytest.approx(0.025), None),
        (wrench, 3, None, None),
    ]
    assert found.tables["listens"]["listened_at"][0] == datetime(2022, 9, 28, 18, 36, tzinfo=UTC)
    assert found.tables["playlists"].select("playlist_id", "title", "description").rows() == [
        ("Playlist1-0", "Rainy 🌧 Sunday", "slow"),
        ("Playlist1-1", "Rainy 🌧 Sunday", None),
        ("liked-songs", "Liked Songs", None),
    ]
    assert found.tables["playlists"]["modified_at"][0] == datetime(2023, 5, 1, tzinfo=UTC)
    assert found.tables["playlist_tracks"].select("playlist_id", "position", "track_id").rows() == [
        ("Playlist1-0", 0, OTHER),
        ("Playlist1-0", 2, "spotify:local:Oasis:Morning+Glory:Wonderwall:258"),
        ("Playlist1-0", 6, "x - no address"),
        ("liked-songs", 0, SONG),
        ("liked-songs", 1, "green day - all the time"),
    ]
    assert found.tables["playlist_tracks"]["added_at"][0] == datetime(2023, 4, 30, tzinfo=UTC)
    lists, library = (f"Spotify Account Data/{name}.json" for name in ("Playlist1", "YourLibrary"))
    assert refused(found) == [
        ("listens", "Spotify Account Data/StreamingHistory_music_0.json:2", "no track named"),
        ("playlist_tracks", f"{lists}:Playlist1-0:1", "a podcast"),
        ("playlist_tracks", f"{lists}:Playlist1-0:3", "an audiobook"),
        ("playlist_tracks", f"{lists}:Playlist1-0:4", "no track named"),
        ("playlist_tracks", f"{lists}:Playlist1-0:5", "not a JSON object"),
        ("playlist_tracks", f"{library}:2", "no track named"),
        ("listens", f"{library}:0", "a banned track, without a time"),
    ]
    assert "secretname" not in everything(found)


def test_local_files_in_playlists_have_their_names(tmp_path):
    tracks = valid(read(write(tmp_path, ACCOUNT))).tables["tracks"]
    local = next(row for row in tracks.iter_rows(named=True) if ":local:" in row["track_id"])
    assert (local["title"], local["artist"], local["album"]) == ("Wonderwall", "Oasis", "Morning Glory")


def test_both_histories_are_not_counted_twice(tmp_path):
    alone = valid(read(write(tmp_path / "alone", EXTENDED)))
    both = valid(read(write(tmp_path / "both", EXTENDED | ACCOUNT)))
    assert both.tables["listens"].equals(alone.tables["listens"])
    left_out = [source for _, source, reason in refused(both) if reason.startswith("left out")]
    assert left_out == [f"Spotify Account Data/StreamingHistory_music_{n}.json" for n in (0, 1)]


def test_the_oldest_names(tmp_path):
    short = json.dumps([{"endTime": "2019-07-30 12:09", "artistName": "A", "trackName": "B", "msPlayed": 373887}])
    for name in ("StreamingHistory0.json", "StreamingHistory.json"):
        assert valid(read(write(tmp_path / name, {f"MyData/{name}": short}))).tables["listens"].height == 1
    plays = json.dumps([play("2019-04-11T00:27:53Z", 200_000)])
    for name in ("endsong.json", "endsong_12.json"):
        assert valid(read(write(tmp_path / name, {f"MyData/{name}": plays}))).tables["listens"].height == 1


def test_empty_and_missing(tmp_path):
    with pytest.raises(UserError, match=r"Streaming_History_Audio_\*\.json"):
        list(read(write(tmp_path, {"Userdata.json": "{}"})))
    found = valid(read(write(tmp_path, {"endsong_0.json": "", "endsong_1.json": "[]", "YourLibrary.json": "{}"})))
    assert refused(found) == [("listens", "endsong_0.json:0", "empty file")]
