"""An export is known by what is in it, and what is none is told what was looked for."""

import json
import zipfile
from pathlib import Path

import pytest

from data.errors import UserError
from data.importers.recognise import LOOKED_FOR, recognise
from data.importers.registry import DATA_SETS

LISTEN = {"listened_at": 1_700_000_000, "track_metadata": {"artist_name": "Ann", "track_name": "Rain"}}
SCROBBLES = "uts,utc_time,artist,album,track\n1270468794,x,Ann,,Rain\n"
EXPORTS = {
    "spotify": ("MyData/Streaming_History_Audio_2021_0.json", "[]", "spotify-history"),
    "spotify, old": ("MyData/endsong_0.json", "[]", "spotify-history"),
    "spotify account": ("my/StreamingHistory_music_0.json", "[]", "spotify-history"),
    "spotify playlists": ("my/Playlist1.json", "{}", "spotify-history"),
    "apple": ("Apple Music Activity/Apple Music Play Activity.csv", "Song Name\nRain\n", "apple-music"),
    "apple, packed": ("x/Apple Music Activity.zip", "PK", "apple-music"),
    "youtube": ("Takeout/YouTube and YouTube Music/history/watch-history.json", "[]", "youtube-music"),
    "youtube, page": ("Takeout/YouTube und YouTube Music/Verlauf/Wiedergabeverlauf.html", "<p>", "youtube-music"),
    "listenbrainz": ("listens/2023/11.jsonl", json.dumps(LISTEN), "listenbrainz"),
    "listenbrainz dump": ("dump/listens/2023/11.listens", json.dumps(LISTEN), "listenbrainz"),
    "listenbrainz, old": ("ann_lb-2023-11-04.json", json.dumps([LISTEN]), "listenbrainz"),
    "listenbrainz, renamed": ("my listens.json", json.dumps([LISTEN]), "listenbrainz"),
    "lastfm": ("recenttracks-ann.csv", SCROBBLES, "lastfm"),
    "lastfm, no header": ("ann.csv", "Ann,,Rain,05 Apr 2010 11:59\nAnn,,Snow,05 Apr 2010 12:01\n", "lastfm"),
    "player": (".scrobbler.log", "#AUDIOSCROBBLER/1.1\nAnn\t\tRain\t1\t200\tL\t1270468794\t\n", "lastfm"),
    "m3u": ("lists/sunday.m3u8", "#EXTM3U\n", "playlists"),
    "xspf": ("sunday.xspf", "<playlist/>", "playlists"),
}


def put(folder: Path, name: str, content: str) -> Path:
    path = folder / "given" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return folder / "given"


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_recognised_as_a_folder_a_zip_and_a_file(name: str, tmp_path: Path) -> None:
    file, content, importer = EXPORTS[name]
    given = put(tmp_path, file, content)
    assert importer in DATA_SETS
    assert recognise(given) == importer
    if importer != "apple-music":  # its one file alone, or a zip of Apple's without its name, is no export
        assert recognise(given / file) == importer
    if not file.startswith("."):
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            archive.write(given / file, file)
        assert recognise(tmp_path / "export.zip") == importer


def test_a_service_s_export_is_taken_before_the_tables_and_playlists_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "sunday.m3u", "")
    assert recognise(put(tmp_path, "scrobbles.csv", SCROBBLES)) == "lastfm"
    assert recognise(put(tmp_path, "MyData/endsong_0.json", "[]")) == "spotify-history"


def test_exports_of_two_services_are_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path, "MyData/endsong_0.json", "[]")
    given = put(tmp_path, "listens/2023/11.jsonl", json.dumps(LISTEN))
    with pytest.raises(UserError, match=r"several services: spotify-history \(MyData/endsong_0.json\), listenbrainz"):
        recognise(given)


@pytest.mark.parametrize(
    ("file", "content"),
    [("notes.json", '{"a": 1}'), ("songs.csv", "title,artist\nRain,Ann\n"), ("a.jsonl", "not json"), ("x.txt", ""),
     ("b.json", ""), ("c.csv", "\0\1"), ("photo.jpg", "")],
)  # fmt: skip
def test_what_is_no_export_is_refused_with_what_was_looked_for(file: str, content: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no export of listening.*\n?.*endsong") as raised:
        recognise(put(tmp_path, file, content))
    assert all(importer in str(raised.value) for importer in LOOKED_FOR)
    assert set(LOOKED_FOR) <= set(DATA_SETS)


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        recognise(tmp_path / "nowhere")
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    with pytest.raises(UserError, match="not a whole zip"):
        recognise(tmp_path / "broken.zip")
