"""The dial from familiar to discovery: how many songs of a list are new to a listener, and how little known they are.

Two lists are made, of songs that the listener has heard and of others, each ranked as validation chose for its task.
The dial says how many come from which, so that the share of new songs never falls when it is turned up; and in both it
weighs how little known a song is against its place, so that as many songs of one ranking never become less novel.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING
from recsys.ranking.filters import Caps, SongGroups

BITS = 0.25
"""At 1, a song that half as many play (a bit more novel) may stand 2 ** BITS times as far down in the ranking.

Chosen on validation of the demo, where .5 and 1 lose 25 and 65 % of the NDCG for a bit or two more. NDCG@20 on 3,000
test questions each, before caps (simulated), and the mean bits of a list:

| dial | next song (today .112, 22 % of it new, 9.8 bits) | song new to the listener (today .120, 10.7 bits) |
|---|---|---|
| 0 | .109 (-3 %), 9.5 bits | 0, none is new |
| .25 | .109 (-3 %), 9.9 bits | .036 (-70 %), 9.9 bits |
| .5 | .104 (-7 %), 10.5 bits | .064 (-47 %), 10.4 bits |
| .75 | .088 (-22 %), 11.2 bits | .100 (-17 %), 11.1 bits |
| 1 | .061 (-46 %), 12.3 bits | .124 (+3 %), 12.2 bits |
"""

BITS_AFTER_SONGS = 0.5
"""The same where songs alone are given: no listener's heard songs can make way for new ones, so novelty is all that the
dial turns, and weighs twice. On validation of the demo .75 loses 59 % of the NDCG for playlists.

NDCG@20 of playlists after their first half, before caps, 300 of the demo's test part (simulated), .300 without a dial:

| dial | NDCG@20 | mean bits of a list |
|---|---|---|
| 0 | .300 | 9.5 |
| .25 | .295 (-2 %) | 9.8 |
| .5 | .284 (-5 %) | 10.2 |
| .75 | .258 (-14 %) | 11.0 |
| 1 | .211 (-30 %) | 12.3 |
"""


def novelty(plays: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) bits: -log2 of a song's share of all plays, each song given one play more."""
    return np.asarray(-np.log2((plays + 1) / (plays.sum() + len(plays))), np.float64)


def turned(tracks: NDArray[np.int32], weighed: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places of ranked songs in the order of -log2(place) + weighed, and what they are ordered by.

    weighed: (N,) bits of novelty times the dial.
    """
    values = weighed[tracks] - np.log2(np.arange(len(tracks)) + 1)
    order = np.argsort(-values, kind="stable")
    return order, values[order].astype(np.float32)


def blended(
    familiar: NDArray[np.int32], new: NDArray[np.int32], dial: float, k: int, groups: SongGroups, caps: Caps
) -> NDArray[np.int64]:
    """Places in [*familiar, *new] of the k songs of a list: `dial` of them new, spread evenly, each kind in its order.

    More of one kind where the other has too few. Familiar songs step back where the caps leave no room for both, which
    they do one by one: no turn of the dial upwards makes fewer songs new.
    """
    wanted = min(len(new), int(dial * k + 0.5))
    first = _within(new[:wanted], familiar, k, groups, caps)
    chosen = np.concatenate([len(familiar) + np.arange(wanted), first])
    if len(chosen) < k:
        tracks = np.concatenate([familiar, new])
        rest = _within(tracks[chosen], new[wanted:], k, groups, caps)
        chosen = np.concatenate([chosen, len(familiar) + wanted + rest])
    return _spread(np.sort(chosen[chosen < len(familiar)]), np.sort(chosen[chosen >= len(familiar)]))


def _within(
    listed: NDArray[np.int32], more: NDArray[np.int32], k: int, groups: SongGroups, caps: Caps
) -> NDArray[np.int64]:
    """Places of the first of `more` that fill a list up to k; those beyond caps that give way behind the others."""
    kept = groups.kept(np.concatenate([listed, more]), NOTHING, caps)
    return np.asarray((kept[kept >= len(listed)] - len(listed))[: k - len(listed)])


def _spread(familiar: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """Both, each in its order, at even distances."""
    at = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (familiar, new)])
    return np.concatenate([familiar, new])[np.argsort(at, kind="stable")]
