"""Which column of a file holds which column of the contract: as mapped, by its name, or by a name that is nearly it."""

import re

from data.tables import SCHEMAS

NEAR = {
    "track_id": "trackid songid trackuri spotifytrackuri spotifytrackid songuri",
    "user_id": "userid username listenerid",
    "playlist_id": "playlistid playlisturi",
    "title": "title tracktitle songtitle trackname songname",
    "artist": "artist artists artistname artistnames trackartist",
    "album": "album albumname albumtitle",
    "genres": "genre genres",
    "tags": "tag tags",
    "language": "language languages",
    "description": "description",
    "release_date": "releasedate released year releaseyear albumreleasedate",
    "duration_s": "durations duration durationms length lengths lengthms durationseconds trackdurationms trackduration",
    "audio_path": "audiopath filepath",
    "mbid": "mbid recordingmbid trackmbid musicbrainztrackid musicbrainzrecordingid musicbrainzid",
    "isrc": "isrc isrccode trackisrc",
    "listened_at": "listenedat playedat timestamp datetime playedon utctime",
    "played_ratio": "playedratio",
    "feedback": "feedback rating",
    "position": "position pos",
    "added_at": "addedat dateadded",
    "modified_at": "modifiedat lastmodified",
}
"""Names, without case and punctuation, that mean a column and nothing else. `time` and `date` are not among them: in a
table of plays they may be anything."""
ALONE = {
    "tracks": {"track_id": "id", "title": "name"},
    "playlists": {"playlist_id": "id", "title": "name playlistname playlisttitle"},
    "listens": {"user_id": "user listener"},
}
"""Names that mean a column in one table alone."""
TOLD = {"msplayed": "played_ratio", "secondsplayed": "played_ratio", "time": "listened_at", "date": "listened_at"}
"Names that are not used, and the column that they come closest to."


def plain(name: str) -> str:
    """A name without case, blanks and punctuation."""
    return re.sub(r"[\W_]", "", name.lower())


def near_columns(table: str, taken: set[str], columns: list[str]) -> dict[str, str]:
    """Contract columns of a table that are not `taken`, and the one column of the file whose name is nearly theirs."""
    found = {}
    for column in SCHEMAS[table]:
        if column in taken:
            continue
        known = f"{NEAR.get(column, '')} {ALONE.get(table, {}).get(column, '')}".split()
        names = [name for name in columns if plain(name) in known]
        if len(names) == 1:
            found[column] = names[0]
    return found


def unused(tables: list[str], columns: list[str]) -> list[str]:
    """Columns that are not used, with the column of the tables that each comes closest to, if any."""
    wanted = {column for table in tables for column in SCHEMAS[table]}
    told = []
    for name in columns:
        near = TOLD.get(plain(name)) or next((of for of, names in NEAR.items() if plain(name) in names.split()), None)
        told.append(f"{name} (closest: {near})" if near in wanted else name)
    return told
