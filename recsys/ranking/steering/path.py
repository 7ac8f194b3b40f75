"""A path from one song to another: every song is nearer to the goal, and no step is larger than it has to be.

Songs are places in HTCL space, a step is a cosine distance. Candidates lie near the arc between the two songs; among
all paths of so many of them that come nearer with every step, one with small steps is found by dynamic programming.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.reporting import logger
from recsys.candidates.content.vector_neighbours import VectorNeighbours
from recsys.ranking.arrange import Asked
from recsys.ranking.filters import Caps, SongGroups

log = logger(__name__)
MOST = 1500
"""Songs considered: the nearest to points of the arc. All paths among them take (songs * MOST ** 2) comparisons."""
STOPS = 24
"""Points of the arc around which songs are looked for."""
PAIRS, SMALL = 20_000, 0.01
"""A step is small that is not larger than the distance of one in a hundred random pairs."""
SEED = 20260101


def path_between(
    ends: NDArray[np.int32], near: VectorNeighbours, asked: Asked, groups: SongGroups, songs: int, small: float
) -> NDArray[np.int32]:
    """The songs of a path between two songs that have vectors; none but the ends that is not allowed or excluded, no
    second version of any, and no more by an artist or of an album than the caps allow.

    Warns where it has fewer songs than asked for, or a step that is not small.
    """
    start, goal = near.of(ends)

    def nearest(vector: NDArray[np.float32], count: int) -> NDArray[np.int32]:
        return near.toward(vector, count, asked.query.allowed)[0]

    found = around(start, goal, nearest, len(near.vectors.tracks))
    found = found[groups.kept(found, asked.query.exclude, Caps(versions=asked.caps.versions))]
    strict = replace(asked.caps, gives_way=False)
    while True:
        candidates = np.concatenate([ends[:1], found, ends[1:]])
        path = candidates[walk(near.of(candidates), songs, small)]
        listed = np.concatenate([ends, path[1:-1]])
        kept = listed[groups.kept(listed, caps=strict)]
        beyond = np.setdiff1d(path[1:-1], kept)
        if not len(beyond):
            largest = float(sizes_of_steps(near.of(path)).max())
            if len(path) < songs or largest > small:
                log.warning(
                    f"a path of {len(path)} songs, the largest step {largest:.2f}: none of {songs} songs is left "
                    f"whose steps are near, {small:.2f} at most"
                )
            return np.asarray(path, np.int32)
        # Whoever has too many songs on the path keeps those that stand on it first.
        same = np.isin(groups.artists[found], groups.artists[beyond]) & (groups.artists[found] >= 0)
        found = found[~np.isin(found, beyond) & (~same | np.isin(found, kept))]


def sizes_of_steps(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S - 1,) cosine distances from each unit vector (S, D) to the next one."""
    return np.asarray(1 - (vectors[1:] * vectors[:-1]).sum(axis=1))


def arc(start: NDArray[np.float32], goal: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """(points, D) unit vectors at even distances from one unit vector (D,) to another, both included."""
    angle = float(np.arccos(np.clip(start @ goal, -1, 1)))
    shares = np.linspace(0, 1, points)[:, None]
    if np.sin(angle) < 1e-6:
        bent = (1 - shares) * start + shares * goal
    else:
        bent = (np.sin((1 - shares) * angle) * start + np.sin(shares * angle) * goal) / np.sin(angle)
    return np.asarray(bent / np.maximum(np.linalg.norm(bent, axis=1, keepdims=True), 1e-12), np.float32)


def around(
    start: NDArray[np.float32],
    goal: NDArray[np.float32],
    nearest: Callable[[NDArray[np.float32], int], NDArray[np.int32]],
    count: int,
) -> NDArray[np.int32]:
    """Songs near the arc between two vectors, ascending. nearest: vector and count -> so many songs. count: of all."""
    stops = arc(start, goal, STOPS) if count > MOST else start[None]
    each = MOST // STOPS if count > MOST else count
    return np.unique(np.concatenate([nearest(stop, each) for stop in stops]))


def small_step(vectors: NDArray[np.float32], share: float = SMALL) -> float:
    """The distance below which so many of the random pairs of songs lie; 0 where there are not two songs."""
    if len(vectors) < 2:
        return 0.0
    one, other = np.random.default_rng(SEED).integers(0, len(vectors), (2, PAIRS))
    apart = one != other
    return float(np.quantile(1 - (vectors[one[apart]] * vectors[other[apart]]).sum(axis=1), share))


def walk(vectors: NDArray[np.float32], songs: int, small: float) -> list[int]:
    """Rows of a path of so many songs from the first row to the last.

    vectors: (M, D) unit vectors of candidates. Every song of the path is nearer to the last one than the song before.
    Where there are paths whose steps are all `small`, or else among those whose largest step is as small as it can be:
    the path whose steps are most even (least sum of squares; ties to the lower row). With fewer songs on any path than
    asked for, the longest there is.
    """
    steps = np.maximum(1 - vectors @ vectors.T, 0).astype(np.float64)
    left = steps[:, -1].copy()
    left[-1] = -1.0  # nothing is nearer to the goal than itself, not even a twin
    order = np.argsort(-left, kind="stable")
    order = order[np.flatnonzero(order == 0)[0] :]  # none that is farther than the start
    between = steps[np.ix_(order, order)]
    between[left[order][:, None] <= left[order][None, :]] = np.inf
    for length in range(min(songs, len(order)), 1, -1):
        largest = _best(between, length, np.maximum)[1]
        if np.isfinite(largest):
            allowed = np.where(between <= max(largest, small), between, np.inf)
            path, _ = _best(allowed**2, length, np.add)
            return [int(order[at]) for at in path]
    return [0, len(vectors) - 1]


def _best(costs: NDArray[np.float64], songs: int, together: np.ufunc) -> tuple[list[int], float]:
    """The cheapest path of exactly so many songs from the first to the last, and its cost; infinite where none leads.

    costs: (M, M), infinite where no step is allowed. together: cost so far and cost of a step -> cost.
    """
    cost = np.full(len(costs), np.inf)
    cost[0] = 0.0
    came_from = []
    for _ in range(songs - 1):
        reached = together(cost[:, None], costs)
        came_from.append(reached.argmin(axis=0))
        cost = reached.min(axis=0)
    path = [len(costs) - 1]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    return path[::-1], float(cost[-1])
