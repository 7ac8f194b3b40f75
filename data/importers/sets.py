"""Every public data set that has an importer, by the name the command calls it."""

from collections.abc import Mapping

from data.importers import lastfm_1k, mpd
from data.importers.parts import DataSet

DATA_SETS: Mapping[str, DataSet] = {
    "lastfm-1k": lastfm_1k.DATA_SET,
    "mpd": mpd.DATA_SET,
}
