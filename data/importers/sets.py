"""Every public data set that has an importer, by the name the command calls it."""

from collections.abc import Mapping

from data.importers import (
    hetrec_lastfm,
    lastfm_1k,
    listenbrainz,
    mpd,
    msd_taste_profile,
    music4all_onion,
    playlists,
    spotify_history,
    yambda,
)
from data.importers.parts import DataSet

DATA_SETS: Mapping[str, DataSet] = {
    module.DATA_SET.name: module.DATA_SET
    for module in (
        hetrec_lastfm,
        lastfm_1k,
        listenbrainz,
        mpd,
        msd_taste_profile,
        music4all_onion,
        playlists,
        spotify_history,
        yambda,
    )
}
