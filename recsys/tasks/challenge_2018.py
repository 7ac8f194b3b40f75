"""The ten scenarios of the RecSys Challenge 2018, on held-out playlists."""

import numpy as np

from data.dataset import Dataset
from data.split import Part, Split
from recsys.queries import Query
from recsys.tasks.names import Scenario
from recsys.tasks.playlists import playlist_questions, songs_of
from recsys.tasks.task import HeldOut, sample

SHORTEST, LONGEST, LEAST_ARTISTS = 5, 250, 3
"""Songs of a playlist and artists in it, as the Million Playlist Dataset and its challenge set were selected."""


def scenario(
    dataset: Dataset, split: Split, part: Part, asked: Scenario, max_queries: int = 1000, seed: int = 20260101
) -> HeldOut:
    """One of the challenge's scenarios on held-out playlists; empty where none has a title or is long enough.

    Playlists of 5 to 250 songs by at least 3 artists (where artists are known), longer than the seeds, as the challenge
    selected them; the challenge takes other playlists for every scenario, here all that fit stand in each.
    """
    artists = dataset.artists
    long_enough = []
    for row, songs, title in songs_of(dataset, split.playlists_of(part).astype(np.int64)):
        by = artists[songs]
        few = (by >= 0).all() and len(np.unique(by)) < LEAST_ARTISTS
        fits = max(SHORTEST, asked.seeds + 1) <= len(songs) <= LONGEST
        if fits and not few and (title or not asked.title):
            long_enough.append(row)
    queries, targets, rows = [], [], []
    for row, songs, title in songs_of(dataset, sample(np.array(long_enough, np.int64), max_queries, seed)):
        given = np.zeros(len(songs), np.bool_)
        drawn = np.random.default_rng([seed, row]).permutation(len(songs)) if asked.at_random else np.arange(len(songs))
        given[drawn[: asked.seeds]] = True
        queries.append(Query(history=songs[given], text=title if asked.title else None, exclude=songs[given]))
        targets.append(songs[~given])
        rows.append(row)
    return playlist_questions(
        "playlist",
        queries,
        targets,
        rows,
        f"RecSys Challenge 2018, scenario {asked.name}: {asked.given} given; held-out playlists of the {part} part "
        f"with {max(SHORTEST, asked.seeds + 1)} to {LONGEST} songs by at least {LEAST_ARTISTS} artists; targets: the "
        "rest; the whole catalogue but the given songs is ranked",
        asked.seeds,
    )
