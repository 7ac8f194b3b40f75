"""Now, as listening tells it: one wrong clock does not move it.

A player whose clock is years ahead dates a few plays later than all the others. Weights that halve with age would then
take everything else for outdated.
"""

import numpy as np
from numpy.typing import NDArray

ODD_SHARE = 0.001
ODD_LEAST = 3
"""Plays that may lie after "now": one in a thousand, at least three, but never more than one in ten."""


def robust_now(moments: NDArray[np.float64]) -> float:
    """The latest of the moments (N,) but for the few that may be odd. Raises ValueError without any."""
    count = len(moments)
    odd = min(max(ODD_LEAST, int(ODD_SHARE * count)), count // 10)
    return float(np.partition(moments, count - 1 - odd)[count - 1 - odd])


def ages(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) how long before `robust_now` each moment was, in its unit; 0 for those after it."""
    return np.maximum(robust_now(moments) - moments, 0.0) if len(moments) else moments
