"""SASRec: a small causal transformer over the songs played last (Kang and McAuley 2018)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import Reason
from recsys.candidates.sequential.sasrec_settings import SasrecSettings
from recsys.candidates.sequential.sequences import sequences
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked

if TYPE_CHECKING:  # loads torch, which only those wait for who ask this source
    from recsys.candidates.sequential.sasrec_network import SasrecNetwork

QUERIES_AT_ONCE = 512
"""Queries that go through the network together: some 50 MB."""


class Sasrec:
    """Trained on each listener's wanted plays and on playlists, in their order; asked from the last wanted plays."""

    name = "sasrec"
    Settings = SasrecSettings
    reason = Reason("listeners like you play it next", about_songs="listeners of these songs play it next")

    def __init__(self, settings: SasrecSettings | None = None) -> None:
        self.settings = settings or SasrecSettings()

    def fit(self, dataset: Dataset) -> Self:
        from recsys.candidates.sequential.sasrec_network import train

        played = sequences(dataset, of="listener")
        known, rows = np.unique(played.tracks, return_inverse=True)
        model = train(played.offsets, rows.astype(np.int64), len(known), self.settings) if len(known) else None
        return self._remember(len(dataset.track_ids), known.astype(np.int32), model)

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            histories = [self._history(query) for query in block]
            scores = np.zeros((len(block), len(self.row_of)), np.float32)
            answers = np.array([len(history) > 0 for history in histories])
            asked = np.flatnonzero(answers)
            for start in range(0, len(asked), QUERIES_AT_ONCE):
                part = asked[start : start + QUERIES_AT_ONCE]
                scores[part[:, None], self.known] = self._scores([histories[row] for row in part])
            return scores, (self.row_of >= 0) & answers[:, None]

        return rank_in_blocks(queries, k, len(self.row_of), score)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return Votes.none(len(tracks))

    def state(self) -> State:
        weights = {} if self.model is None else self.model.state_dict()
        return {"known": self.known} | {name: tensor.cpu().numpy() for name, tensor in weights.items()}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        import torch

        from recsys.candidates.sequential.sasrec_network import SasrecNetwork, best_device

        model = None
        if len(state["known"]):
            model = SasrecNetwork(len(state["known"]), self.settings).to(best_device()).eval()
            model.load_state_dict({name: torch.tensor(state[name]) for name in model.state_dict()})
        return self._remember(len(dataset.track_ids), state["known"], model)

    def _remember(self, tracks: int, known: NDArray[np.int32], model: "SasrecNetwork | None") -> Self:
        self.known, self.model = known, model
        self.row_of = np.full(tracks, -1, np.int64)
        self.row_of[known] = np.arange(len(known))
        return self

    def _history(self, query: Query) -> NDArray[np.int64]:
        """Rows of the last wanted plays that training knows, oldest first."""
        played = query.history if query.evidence is None else query.history[query.evidence > 0]
        rows = self.row_of[played]
        return rows[rows >= 0][-min(self.settings.last, self.settings.length) :]

    def _scores(self, histories: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """(B, songs known) for histories of at least one play."""
        import torch

        assert self.model is not None
        ends = np.array([len(history) - 1 for history in histories])
        played = np.zeros((len(histories), int(ends.max()) + 1), np.int64)
        for row, history in enumerate(histories):
            played[row, : len(history)] = history
        with torch.inference_mode():
            states = self.model(torch.from_numpy(played).to(self.model.songs.weight.device))
            last = states[torch.arange(len(ends)), torch.from_numpy(ends)]
            return np.asarray((last @ self.model.songs.weight.T).cpu().numpy(), np.float32)
