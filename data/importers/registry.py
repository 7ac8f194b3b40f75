"""Every public data set that has an importer, by the name `htcl prepare` takes."""

from collections.abc import Mapping

from data.importers.accounts import apple_music, lastfm, listenbrainz, spotify_history, youtube_music
from data.importers.data_set import DataSet
from data.importers.playlists import importer as playlists
from data.importers.public import hetrec_lastfm, lastfm_1k, mpd, msd_taste_profile, music4all_onion, yambda

DATA_SETS: Mapping[str, DataSet] = {
    module.DATA_SET.name: module.DATA_SET
    for module in (
        apple_music,
        hetrec_lastfm,
        lastfm,
        lastfm_1k,
        listenbrainz,
        mpd,
        msd_taste_profile,
        music4all_onion,
        playlists,
        spotify_history,
        yambda,
        youtube_music,
    )
}
