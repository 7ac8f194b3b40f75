"""Simulated song vectors: a mixture of Gaussians on the sphere, as songs of genres lie in a trained space."""

import numpy as np
from numpy.typing import NDArray

DIMENSION = 128
SPREAD = 1.0
"A song's distance from the middle of its cluster, whose length is 1; two songs of one have a cosine of about a half."


def clustered(songs: int, dimension: int = DIMENSION, seed: int = 0) -> NDArray[np.float32]:
    """(songs, dimension) unit vectors, in about as many clusters of unequal size as the square root of the songs."""
    rng = np.random.default_rng(seed)
    clusters = max(2, round(songs**0.5))
    shares = 1 / np.arange(1, clusters + 1) ** 0.5
    middles = rng.standard_normal((clusters, dimension), dtype=np.float32)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    vectors = rng.standard_normal((songs, dimension), dtype=np.float32)
    vectors *= np.float32(SPREAD / dimension**0.5)
    vectors += middles[rng.choice(clusters, size=songs, p=shares / shares.sum())]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
