"""Why a song was recommended, in words."""

from data.dataset import Dataset
from recsys.ranking.recommendation import Recommendation


def song_name(dataset: Dataset, track: str) -> str:
    """`Title by Artist`, as far as they are known."""
    row = int(dataset.track_ids.to_rows([track])[0])
    title, artist = dataset.tracks["title"][row] or track, dataset.tracks["artist"][row]
    return f"{title} by {artist}" if artist else title


REASONS = {
    "htcl-stage2": "sounds and reads like {song}",
    "htcl": "sounds and reads like {song}",
    "item-knn": "played together with {song}",
    "ease": "played together with {song}",
    "vsknn": "in the same sessions as {song}",
    "sequential-rules": "often follows {song}",
    "repeat": "you play it often",
    "same-artist": "same artist as {song}",
    "ials": "listeners like you play it",
    "bpr": "listeners like you play it",
    "popularity": "popular",
    "fresh": "new",
    "text": "fits the words",
}


def reason_of(song: Recommendation, dataset: Dataset) -> str:
    named = song_name(dataset, song.because) if song.because and song.because != song.track_id else None
    for source in song.sources:
        reason = REASONS[source]
        if "{song}" not in reason:
            return reason if named is None else f"{reason}; near {named}"
        if named is not None:
            return reason.format(song=named)
    return "fits the words" if song.sources else ""
