"""A split that hides songs: nothing of them is learned from, what is held out of them stays."""

import numpy as np
import polars as pl


def test_of_hidden_songs_nothing_is_known_and_everything_is_held_out(fixed_world):
    _, dataset, split = fixed_world
    songs = np.random.default_rng(1).random(len(dataset.track_ids)) < 0.3
    hiding = split.hiding(songs)
    for known, before in ((split.training(dataset), "validation"), (split.past(dataset), "test")):
        left = hiding.training(dataset) if before == "validation" else hiding.past(dataset)
        assert left.listens.equals(known.listens.filter(pl.Series(~songs[known.listens["track"]])))
        entries = known.playlist_tracks
        assert left.playlist_tracks.equals(entries.filter(pl.Series(~songs[entries["track"]])))
        assert left.listens.height < known.listens.height
        np.testing.assert_array_equal(hiding.cold_before(before), split.cold_before(before) | songs)
    np.testing.assert_array_equal(hiding.held_out_only, split.held_out_only | songs)
    assert hiding.listens_of(dataset, "test").equals(split.listens_of(dataset, "test"))
    assert hiding.fingerprint == split.hiding(songs.copy()).fingerprint
    assert len({split.fingerprint, hiding.fingerprint, split.hiding(~songs).fingerprint}) == 3
