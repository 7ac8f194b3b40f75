"""The dial from familiar to discovery: how many songs of a list are new to a listener, and how little known they are.

Two lists are made, of songs that the listener has heard and of others, each ranked as validation chose for its task; in
the second how little known a song is weighs against its place. Turned up, the dial lets heard songs make way for new
ones that are no less novel, one by one: neither the share of new songs nor the novelty of any list falls.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING
from recsys.ranking.filters import Caps, SongGroups

BITS = 0.25
"""Of songs new to a listener, one that half as many play (a bit more novel) may stand 2 ** BITS times as far down.

Chosen on validation of the demo, where .5 and 1 lose 25 and 65 % of the NDCG for a bit or two more. NDCG@20 on 1,000
test questions each, before caps (simulated), and the mean bits of a list; heard is what the last 100 plays hold:

| dial | next song (without a dial .145, 32 % of it new, 10.0 bits) | song new to the listener (.132, 10.7 bits) |
|---|---|---|
| 0 | .135 (-7 %), 9.6 bits | 0, none is new |
| .25 | .132 (-9 %), 10.4 bits | .035 (-73 %), 10.4 bits |
| .5 | .126 (-13 %), 10.9 bits | .068 (-48 %), 10.9 bits |
| .75 | .102 (-30 %), 11.5 bits | .102 (-22 %), 11.5 bits |
| 1 | .064 (-56 %), 12.2 bits | .126 (-4 %), 12.3 bits |
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


def dialled(
    familiar: NDArray[np.int32],
    new: NDArray[np.int32],
    dial: float,
    k: int,
    bits: NDArray[np.float64],
    groups: SongGroups,
    caps: Caps,
) -> NDArray[np.int64]:
    """Places in [*familiar, *new] of the k songs of a list: `dial` of them new, spread evenly, each kind in its order.

    More of one kind where the other has too few. Up to the turn of the dial one familiar song after the other makes way
    for a new one that is no less novel (bits: (N,)), so that turning it up makes no list less novel or fewer songs new;
    only where no new song is left that is novel enough, the most novel one comes.
    """
    both = np.concatenate([familiar, new])
    listed = _within(familiar[:0], familiar, k, groups, caps).tolist()
    listed += (len(familiar) + _within(familiar[listed], new, k, groups, caps)).tolist()
    waiting = [place for place in range(len(familiar), len(both)) if place not in listed]
    heard = [place for place in listed if place < len(familiar)]
    while heard and waiting and len(listed) - len(heard) < int(dial * k + 0.5):
        leaves, enters = _swap(heard, waiting, listed, both, bits, groups, caps)
        listed[listed.index(leaves)] = enters
        heard.remove(leaves)
        waiting.remove(enters)
    places = np.sort(np.array(listed, np.int64))
    return _spread(places[places < len(familiar)], places[places >= len(familiar)])


def _swap(
    heard: list[int],
    waiting: list[int],
    listed: list[int],
    both: NDArray[np.int32],
    bits: NDArray[np.float64],
    groups: SongGroups,
    caps: Caps,
) -> tuple[int, int]:
    """The heard song of a list that makes way, and the waiting one that takes its place: the first of these for which
    one is found that is no more novel, the last of those; beyond the caps no more songs than before."""
    strict = replace(caps, gives_way=False)
    kept = len(groups.kept(both[listed], caps=strict))

    def fits(leaves: int, enters: int) -> bool:
        after = [enters if place == leaves else place for place in listed]
        return len(groups.kept(both[after], caps=strict)) >= kept

    novel = bits[both]
    for enters in waiting:
        for leaves in reversed(heard):
            if novel[enters] >= novel[leaves] and fits(leaves, enters):
                return leaves, enters
    for enters in sorted(waiting, key=lambda place: -novel[place]):
        for leaves in sorted(heard, key=lambda place: novel[place]):
            if fits(leaves, enters):
                return leaves, enters
    return heard[-1], waiting[0]


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
