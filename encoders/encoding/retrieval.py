"""Retrieval by cosine: vectors of some tracks, and the rank of each song's own counterpart among all."""

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.encoding.song_batches import SongReader
from encoders.model.network import HtclNetwork
from encoders.model.outputs import SongVectors

BATCH = 64


def ranks_of_own(cosines: torch.Tensor) -> torch.Tensor:
    """(N,) the place of each row's own column in (N, N) cosines, the best 1; the middle of those that tie with it.

    Were a tie a first place, an encoder that maps all songs to one vector would be perfect.
    """
    own = cosines.diagonal()[:, None]
    return 1 + (cosines > own).sum(dim=1) + ((cosines == own).sum(dim=1) - 1) / 2


@torch.inference_mode()
def vectors_of(model: HtclNetwork, reader: SongReader, tracks: NDArray[np.int32]) -> SongVectors:
    """Every vector of these songs, read whole, in order, on the CPU."""
    device = next(model.parameters()).device
    order = reader.by_length(tracks)
    size = model.config.projection_dim
    audio, text, fusion = (torch.zeros(len(tracks), size) for _ in range(3))
    heard, read = (torch.zeros(len(tracks), dtype=torch.bool) for _ in range(2))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        found = model(**{name: value.to(device) for name, value in reader.read(tracks[rows]).items()})
        for whole, part in ((audio, found.audio), (text, found.text), (fusion, found.fusion)):
            if part is not None:
                whole[rows] = part.float().cpu()
        heard[rows], read[rows] = found.has_audio.cpu(), found.has_text.cpu()
    return SongVectors(audio, text, fusion, heard, read)
