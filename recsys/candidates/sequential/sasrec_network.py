"""SASRec's network (Kang and McAuley 2018) and its training: causal self-attention over the songs played so far."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, gelu

from recsys.candidates.sequential.sasrec_settings import SasrecSettings
from recsys.candidates.sequential.session_index import positions


class SasrecNetwork(nn.Module):
    """What comes next after each play? A song is scored by the product of its embedding and the state it follows."""

    def __init__(self, songs: int, settings: SasrecSettings) -> None:
        super().__init__()
        s = settings
        self.songs, self.places = nn.Embedding(songs, s.dim), nn.Embedding(s.length, s.dim)
        self.blocks = nn.ModuleList(Block(s.dim, s.heads, s.dropout) for _ in range(s.layers))
        self.norm, self.dropout = nn.LayerNorm(s.dim), s.dropout
        for embedding in (self.songs, self.places):
            nn.init.normal_(embedding.weight, std=s.dim**-0.5)

    def forward(self, played: Tensor) -> Tensor:
        """played: (B, L) rows of songs, oldest first; shorter ones end in whatever song. Returns states (B, L, D).

        No state depends on a later play, so that what fills up a row changes nothing before it.
        """
        x = self.songs(played) + self.places.weight[: played.shape[1]]
        x = dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Causal self-attention, then a layer for each place, both normalised first."""

    def __init__(self, dim: int, heads: int, rate: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, rate
        self.before_attention, self.before_layer = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attend, self.join = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.widen, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + dropout(self._attention(self.before_attention(x)), self.rate, self.training)
        inner = dropout(gelu(self.widen(self.before_layer(x))), self.rate, self.training)
        return x + dropout(self.narrow(inner), self.rate, self.training)

    def _attention(self, x: Tensor) -> Tensor:
        # Written out: torch's fused attention is not reproducible on every GPU, and 50 plays need none of it.
        batch, length, dim = x.shape
        query, key, value = self.attend(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        fit = query @ key.transpose(-1, -2) * (dim // self.heads) ** -0.5
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        weights = dropout(fit.masked_fill(later, float("-inf")).softmax(-1), self.rate, self.training)
        return self.join((weights @ value).transpose(1, 2).reshape(batch, length, dim))  # type: ignore[no-any-return]


def train(offsets: NDArray[np.int64], played: NDArray[np.int64], songs: int, settings: SasrecSettings) -> SasrecNetwork:
    """Learn what comes next. Sequence s is `played[offsets[s]:offsets[s + 1]]`, rows of 0 .. songs - 1.

    The same seed gives the same weights on the same kind of device. Runs on the GPU where there is one.
    """
    s, device = settings, best_device()
    steps = min(max(s.epochs * _count(offsets, s), s.fewest_steps), s.most_steps)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(s.seed)
        model = SasrecNetwork(songs, s).to(device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=s.lr, betas=(0.9, 0.98), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
        plays = torch.from_numpy(played).to(device)
        for _, (begins, ends) in zip(range(steps), _batches(offsets, s), strict=False):
            at = begins[:, None] + np.arange((ends - begins).max() - 1)
            given, wanted = (torch.from_numpy(np.minimum(at + ahead, len(played) - 1)).to(device) for ahead in (0, 1))
            real = torch.from_numpy(at + 1 < ends[:, None]).to(device)
            loss = next_song_loss(model(plays[given])[real], plays[wanted][real], model.songs.weight, s.negatives)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def next_song_loss(states: Tensor, wanted: Tensor, songs: Tensor, negatives: int) -> Tensor:
    """Cross-entropy of the songs that came next (P,), given states (P, D) and embeddings (N, D). A scalar, nats.

    The one negative a play of the original makes the model overconfident (Petrov and Macdonald 2023, gSASRec); with the
    softmax over all songs SASRec is as good as any (Klenitskiy and Vasilev 2023). Where there are more than `negatives`
    others, the softmax's sum is estimated from that many songs drawn evenly, whose share of all songs is made good.
    """
    if len(songs) - 1 <= negatives:
        return cross_entropy(states @ songs.T, wanted)
    drawn = torch.randint(len(songs), (negatives,), device=songs.device)
    right = (states * songs[wanted]).sum(1, keepdim=True)
    wrong = states @ songs[drawn].T + math.log(len(songs) / negatives)
    wrong = wrong.masked_fill(drawn == wanted[:, None], float("-inf"))
    first = torch.zeros(len(states), dtype=torch.int64, device=states.device)
    return cross_entropy(torch.cat([right, wrong], dim=1), first)


def best_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def _rate(step: int, steps: int) -> float:
    """Share of the highest learning rate: up over a tenth of the steps, then down along a cosine."""
    return min((step + 1) / max(steps / 10, 1), (1 + math.cos(math.pi * step / steps)) / 2)


def _batches(offsets: NDArray[np.int64], s: SasrecSettings) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Windows of at most length + 1 plays, where each begins and ends; cut elsewhere in every pass. Without end, unless
    nothing was ever played after anything."""
    rng = np.random.default_rng(s.seed)
    while (np.diff(offsets) > 1).any():
        begins, ends = windows(offsets, s.length, rng.integers(s.length, size=len(offsets) - 1))
        order = rng.permutation(len(begins))
        for start in range(0, len(order), s.batch_size):
            chosen = order[start : start + s.batch_size]
            yield begins[chosen], ends[chosen]


def windows(
    offsets: NDArray[np.int64], length: int, shift: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut sequences so that each play but a sequence's first is asked for once: where the windows begin and end.

    shift: (S,) 0 .. length - 1, by how many plays the first window of a sequence is short.
    """
    asked = np.diff(offsets) - 1
    counts = np.where(asked > 0, -(-(asked + shift) // length), 0)
    sequence = np.repeat(np.arange(len(counts)), counts)
    first, stop = offsets[:-1][sequence], offsets[1:][sequence]
    begins = first - shift[sequence] + positions(counts) * length
    ends = np.minimum(begins + length + 1, stop)
    begins = np.maximum(begins, first)
    kept = ends - begins > 1
    return begins[kept], ends[kept]


def _count(offsets: NDArray[np.int64], s: SasrecSettings) -> int:
    """Batches in a pass, about."""
    begins, _ = windows(offsets, s.length, np.full(len(offsets) - 1, s.length // 2))
    return -(-len(begins) // s.batch_size)
