"""The training loop both stages share: accelerate, warm-up and cosine, clipping, and a checkpoint after every epoch.

An epoch's data order and dropout depend on (seed, epoch) alone, so a run that was cut off and goes on from its last
checkpoint ends with the same weights, bit for bit, as one that was not.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.errors import UserError
from data.progress import meter, say
from data.workspace import short_hash
from encoders.caching import loss_and_gradient
from encoders.losses import Songs
from encoders.model import HtclModel


class TrainingSettings(BaseModel):
    """One stage of training."""

    epochs: PositiveInt = 20
    steps_per_epoch: PositiveInt | None = None
    "Batches in an epoch; None is one pass over the songs (stage 2 needs a number)."
    batch_size: PositiveInt = 32
    "Songs in a batch in stage 1, pairs in stage 2."
    lr: PositiveFloat = 1e-4
    "Peak learning rate of heads, fusion and temperatures."
    audio_lr: PositiveFloat = 1e-4
    text_lr: PositiveFloat = 1e-5
    warmup: float = Field(default=0.1, ge=0, lt=1)
    "Share of all steps in which the rates rise; then they fall along a cosine."
    weight_decay: float = Field(default=0.01, ge=0)
    clip: PositiveFloat = 1.0
    "Largest norm of the gradient."
    crop_frames: PositiveInt | None = None
    "Random window of each mel (96 ms a frame); None takes whole songs."
    text_tokens: PositiveInt | None = None
    "Tokens at which each text is cut in training; None leaves it to the tokenizer."
    forget: float = Field(default=0.0, ge=0, lt=1)
    "Chance that a field of a song's text (title, artist, ...) is left out when it is read in training."
    at_once: PositiveInt | None = None
    "Songs that go through the towers together (gradient caching bounds the memory of larger batches); None takes all."
    seed: int = 20260101


Batch = dict[str, Any]


def train(
    model: HtclModel,
    batches: Callable[[int], Sequence[Callable[[], Batch]]],
    loss_of: Callable[[Songs, Tensor, Batch], Tensor],
    settings: TrainingSettings,
    scratch: Path,
    name: str,
    identity: object,
    fresh: Callable[[], None] | None = None,
) -> list[float]:
    """Train `model` in place; returns the mean loss of each epoch, in nats.

    batches(epoch): thunks that make one batch each: `songs`, the model's arguments, and what else loss_of(vectors,
    log_scales, batch) reads. scratch: where checkpoints lie; one that was made by the same
    `identity` (data and settings) is gone on from. Raises UserError under several processes, FloatingPointError where
    the loss or its gradient is not finite. fresh: called first where there is no checkpoint to go on from.
    """
    accelerator = Accelerator(mixed_precision="bf16" if torch.cuda.is_available() else "no")
    if accelerator.num_processes > 1:
        raise UserError("training runs in one process", "Start it without accelerate launch.")
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=settings.weight_decay)
    peaks = [group["lr"] for group in optimizer.param_groups]
    prepared, optimizer = accelerator.prepare(model, optimizer)
    checkpoint = Checkpoint(scratch / "checkpoint.safetensors", short_hash([identity, settings.model_dump()]))
    losses = checkpoint.restore(model, optimizer)
    if not losses and fresh is not None:
        fresh()
    if losses:
        say(f"  {name}: going on after epoch {len(losses)} of {settings.epochs}")
    per_epoch = len(batches(0))
    total = settings.epochs * per_epoch
    with meter(name, total) as progress:
        for epoch in range(len(losses), settings.epochs):
            torch.manual_seed(settings.seed + epoch)
            prepared.train()
            losses.append(0.0)
            for step, make in enumerate(batches(epoch)):
                at = epoch * per_epoch + step
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * schedule(at / total, settings.warmup)
                batch = _to(make(), accelerator.device)
                try:
                    loss = training_step(prepared, optimizer, batch, loss_of, settings)
                except FloatingPointError as error:
                    raise FloatingPointError(f"{name}: {error} in epoch {epoch}, step {step}") from None
                losses[-1] += loss.item() / per_epoch
                scale = float(model.log_scales.detach()[0].exp())
                progress.to(at + 1, f"epoch {epoch + 1}/{settings.epochs}  loss {loss.item():.2f}  scale {scale:.1f}")
            checkpoint.save(model, optimizer, losses)
    model.eval()
    return losses


def training_step(
    model: HtclModel,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    loss_of: Callable[[Songs, Tensor, Batch], Tensor],
    settings: TrainingSettings,
) -> Tensor:
    """One step on one batch; returns its loss, detached. FloatingPointError where it or the gradient is not finite."""
    optimizer.zero_grad(set_to_none=True)
    of_vectors = partial(_loss, loss_of, model, batch)
    loss = loss_and_gradient(model, batch["songs"], of_vectors, settings.at_once)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()}")
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the gradient is {norm}")
    optimizer.step()
    model.clamp_scales()
    return loss


def _loss(loss_of: Callable[[Songs, Tensor, Batch], Tensor], model: HtclModel, batch: Batch, vectors: Songs) -> Tensor:
    return loss_of(vectors, model.log_scales, batch)


def parameter_groups(model: HtclModel, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Rates by part; no weight decay on vectors and scalars (norms, biases, temperatures)."""
    rates = {"audio_model": settings.audio_lr, "text_model": settings.text_lr}
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = rates.get(name.split(".")[0], settings.lr)
        groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, **({} if decays else {"weight_decay": 0.0})}
        for (rate, decays), parameters in groups.items()
    ]


def schedule(share: float, warmup: float) -> float:
    """Factor on the peak rate when `share` of the steps are done: linear warm-up, then a cosine to 0."""
    if share < warmup:
        return (share + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))


class Checkpoint:
    """Weights and optimiser state after an epoch, in one safetensors file that is replaced whole."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    def save(self, model: HtclModel, optimizer: torch.optim.Optimizer, losses: Iterable[float]) -> None:
        tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
        state = optimizer.state_dict()["state"]
        for index, values in state.items():
            tensors |= {f"optimizer.{index}.{key}": value.contiguous() for key, value in values.items()}
        aside = self.path.with_suffix(".new")
        tensors = {name: value.detach().cpu().clone() for name, value in tensors.items()}
        facts = {"identity": self.identity, "losses": " ".join(repr(loss) for loss in losses)}
        save_file(tensors, aside, facts | {"digest": _digest(tensors)})
        aside.replace(self.path)

    def restore(self, model: HtclModel, optimizer: torch.optim.Optimizer) -> list[float]:
        """Load what was saved by the same identity; returns the losses of the epochs done, empty for a fresh start.

        A file that cannot be read is said and passed over.
        """
        if not self.path.is_file():
            return []
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = file.metadata() or {}
                if facts.get("identity") != self.identity:
                    return []
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if facts.get("digest") != _digest(tensors):
                raise OSError("its checksum is not the one written")
        except (SafetensorError, OSError) as error:
            say(f"  {self.path} is damaged ({error}); training starts afresh")
            return []
        model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return [float(loss) for loss in facts["losses"].split()]


def _digest(tensors: dict[str, Tensor]) -> str:
    """Of every name and byte: a flipped bit in a weight would otherwise be trained upon."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _to(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) if isinstance(value, Tensor) else _to(value, device) for key, value in batch.items()}
