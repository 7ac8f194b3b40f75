"""The checkpoint of a training: weights, their average, the best so far and the optimiser, replaced atomically."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.reporting import logger

log = logger(__name__)

Weights = dict[str, Tensor]


class History(BaseModel):
    """What a training has gone through, one value an epoch."""

    losses: list[float] = []
    "Mean loss, in nats."
    validation: list[float] = []
    "How well the songs that are held out for it are found; empty where too few are."
    best: int | None = None
    "Epoch (from 1) with the best validation, whose weights are kept; None keeps the last."

    @property
    def epochs(self) -> int:
        return len(self.losses)

    def waited(self) -> int:
        """Epochs since validation was last bettered."""
        return 0 if self.best is None else self.epochs - self.best

    def kept(self) -> str:
        """The end of a summary: which epoch was kept, and why."""
        if self.best is None:
            return f"after {self.epochs} epochs"
        return f"epoch {self.best} of {self.epochs} kept (validation {self.validation[self.best - 1]:.3f})"


@dataclass
class State:
    """Everything that a training needs in order to go on. best: the weights of `history.best`."""

    history: History = field(default_factory=History)
    model: Weights = field(default_factory=dict)
    average: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    optimizer: Weights = field(default_factory=dict)


class Checkpoint:
    """One safetensors file; what was saved under another identity (data and settings) does not count."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    def save(self, state: State) -> None:
        tensors: Weights = {}
        for part in ("model", "average", "best", "optimizer"):
            weights: Weights = getattr(state, part)
            tensors |= {f"{part}/{name}": _own(value) for name, value in weights.items()}
        history = state.history.model_dump_json()
        facts = {"identity": self.identity, "history": history, "digest": _digest(tensors, history)}
        aside = self.path.with_suffix(".new")
        save_file(tensors, aside, facts)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(self.path)

    def restore(self) -> State | None:
        """The checkpoint of this training. One of other settings, or an unreadable one, is reported and ignored."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = file.metadata() or {}
                if facts.get("identity") != self.identity:
                    log.warning(f"  {self.path} is of other data or settings; training starts afresh")
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            history = facts.get("history", "")
            if facts.get("digest") != _digest(tensors, history):
                raise OSError("its checksum is not the one written")
        except (SafetensorError, OSError) as error:
            log.warning(f"  {self.path} is damaged ({error}); training starts afresh")
            return None
        state = State(History.model_validate_json(history))
        for name, value in tensors.items():
            part, _, key = name.partition("/")
            getattr(state, part)[key] = value
        return state


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Weights:
    """An optimiser's state, flat: "<parameter>/<what>" -> tensor."""
    state = optimizer.state_dict()["state"]
    return {f"{index}/{key}": value for index, values in state.items() for key, value in values.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _own(value: Tensor) -> Tensor:
    return value.detach().cpu().clone().contiguous()


def _digest(tensors: Weights, history: str) -> str:
    """Of every name and byte: a flipped bit in a weight would otherwise be trained upon."""
    found = hashlib.sha256(history.encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
