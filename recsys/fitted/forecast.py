"""How long a first build without sound takes, where that is long: an estimate from the sizes, made before it begins.

From steps of builds of simulated tables (`python -m eval.bench build`), by processor time of cores that other work kept
busy as well.
"""

from data.dataset import Dataset
from recsys.settings import TuningSettings

A_MILLION_SONGS = 1100.0
"Seconds of processors: three times through the text tower, vocabulary, nearest songs, index."
A_MILLION_PLAYS = 40.0
"Mining pairs twice, and fitting what is published."
ALWAYS = 80.0
"Training stage 2 twice, whose steps do not grow with the catalogue."
AT_ONCE = 1.5
"Processors that are busy, in the mean."
LONG = 10.0
"Minutes below which nothing is said."


def minutes_of_first_build(songs: int, plays: int, tuning: TuningSettings) -> float:
    """On two cores. plays: and playlist entries."""
    work = ALWAYS + A_MILLION_SONGS * songs / 1e6 + A_MILLION_PLAYS * plays / 1e6
    return work / AT_ONCE / 60 + tuning.minutes * min(plays / 100_000, 1.0)


def announcement(dataset: Dataset, tuning: TuningSettings) -> str:
    """What to expect, in a sentence; empty where it is quick or where songs have sound, whose decoding decides."""
    songs, plays = len(dataset.track_ids), dataset.listens.height + dataset.playlist_tracks.height
    minutes = minutes_of_first_build(songs, plays, tuning)
    if minutes < LONG or dataset.tracks["audio_path"].null_count() < songs:
        return ""
    most = f"at most {tuning.minutes:g} of them for tuning ([tuning] minutes)"
    return (
        f"{songs:,} songs, {plays:,} plays and playlist entries, no sound: about {minutes:,.0f} minutes on two cores, "
        f"{most}. Ctrl-C is safe, the next run goes on."
    )
