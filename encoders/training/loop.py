"""The training loop both stages share: accelerate, warm-up and cosine, clipping, averaged weights, the best epoch kept.

A checkpoint is written after every epoch. Data order, crops and dropout depend on (seed, epoch) alone, so a run that
was cut off and goes on from its last checkpoint ends with the same weights, bit for bit, as one that was not.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from data.reporting import Meter, logger, meter
from data.storage.hashing import short_hash
from encoders.encoding.prefetch import moved, prefetched
from encoders.encoding.song_batches import SongReader, View
from encoders.model.network import HtclNetwork
from encoders.model.outputs import SongVectors
from encoders.training import distributed
from encoders.training.checkpoint import Checkpoint, History, State, load_optimizer, optimizer_tensors
from encoders.training.gradient_cache import loss_and_gradient

log = logger(__name__)


class TrainingSettings(BaseModel):
    """One stage of training."""

    model_config = ConfigDict(extra="forbid")

    epochs: PositiveInt = 20
    steps_per_epoch: PositiveInt | None = None
    "Batches in an epoch at most; None is about one pass over the songs, or as many draws as there are pairs."
    batch_size: int = Field(default=32, ge=2)
    "Songs in a batch in stage 1, pairs in stage 2; over all distributed."
    accumulate: PositiveInt = 1
    "Batches whose gradients are averaged into one step. Not a larger contrastive batch: see `at_once` for that."
    lr: PositiveFloat = 1e-4
    "Peak learning rate of heads, fusion and temperatures."
    audio_lr: PositiveFloat = 1e-4
    text_lr: float = Field(default=1e-5, ge=0)
    "0 leaves the text tower as it is; its head is trained."
    warmup: float = Field(default=0.1, ge=0, lt=1)
    "Share of all steps in which the rates rise; then they fall along a cosine."
    weight_decay: float = Field(default=0.01, ge=0)
    clip: PositiveFloat = 1.0
    "Largest norm of the gradient."
    ema: float | None = Field(default=None, gt=0, lt=1)
    "Decay a step of the average of the weights, which is then what is validated and kept; None keeps the weights."
    validation_share: float = Field(default=0.0, ge=0, lt=0.5)
    "Share of the songs that choose the epoch instead of being trained on; 0 keeps the last epoch."
    patience: PositiveInt | None = None
    "Epochs without a better validation after which training ends; None runs them all."
    crop_frames: PositiveInt | None = None
    "Random window of each mel (96 ms a frame); None takes whole songs."
    text_tokens: PositiveInt | None = None
    "Tokens at which each text is cut in training; None leaves it to the tokenizer."
    forget: float = Field(default=0.0, ge=0, lt=1)
    "Chance that a field of a song's text (title, artist, ...) is left out when it is read in training."
    lock_text: bool = False
    "The text tower and its head stay as they are, and sound learns to meet them (LiT, Zhai et al. 2022)."
    at_once: PositiveInt | None = None
    "Songs that go through the towers together (gradient caching bounds the memory of larger batches); None takes all."
    compile: bool = False
    "Let torch.compile make the model faster; worth its minutes on a GPU."
    seed: int = Field(default=20260101, ge=0, lt=2**62)


@dataclass(frozen=True)
class Batch:
    """One step: the songs whose vectors are needed, and the loss of these vectors and the model's log_scales (3,)."""

    tracks: NDArray[np.int32]
    loss: Callable[[SongVectors, Tensor], Tensor]


@dataclass(frozen=True)
class TrainingPlan:
    """What one training does. batches(epoch): what makes each batch of the epoch, in order."""

    name: str
    reader: SongReader
    batches: Callable[[int], Sequence[Callable[[], Batch]]]
    settings: TrainingSettings
    identity: object
    "Of data and settings: a checkpoint of another one is not gone on from."
    validate: Callable[[HtclNetwork], float] | None = None
    "How well songs that are not trained on are found, more is better."
    begin: Callable[[], None] | None = None
    "Called first where there is no checkpoint to go on from."


def train(model: HtclNetwork, plan: TrainingPlan, scratch: Path, logs: Path | None = None) -> History:
    """Train `model` in place; it ends with the best epoch's weights. scratch: folder of the checkpoint.

    logs: folder for TensorBoard. Under `accelerate launch` every process calls this with the same arguments and ends
    with the same weights; the first one reads and writes the checkpoint. Raises FloatingPointError where the loss or
    its gradient is not finite.
    """
    settings = plan.settings
    accelerator = distributed.join()
    nn.Module.to(model, accelerator.device)
    still = held_still(model, settings)
    for part in still:
        part.requires_grad_(False)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=settings.weight_decay, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    checkpoint = Checkpoint(scratch / "checkpoint.safetensors", short_hash([plan.identity, settings.model_dump()]))
    state = distributed.from_first(checkpoint.restore) or State()
    history = state.history
    if history.epochs:
        model.load_state_dict(state.model)
        load_optimizer(optimizer, state.optimizer)
        log.info(f"  {plan.name}: going on after epoch {history.epochs} of {settings.epochs}")
    elif plan.begin is not None:
        plan.begin()
    distributed.same_weights(model)
    average = None if settings.ema is None else _average(model, settings.ema, state)
    kept: HtclNetwork = model if average is None else average.module  # type: ignore[assignment]
    first = distributed.rank() == 0
    steps = -(-len(plan.batches(0)) // settings.accumulate)
    writing = _board(logs, history.epochs, steps) if logs is not None and first else nullcontext()
    with meter(plan.name, settings.epochs * steps, history.epochs * steps) as progress, writing as board:
        run = Run(accelerator, model, still, optimizer, peaks, average, plan, steps, progress, board)
        for epoch in range(history.epochs, settings.epochs):
            if settings.patience is not None and history.waited() >= settings.patience:
                break
            history.losses.append(run.epoch(epoch))
            if plan.validate is not None:
                _validate(plan.validate, kept, state)
                run.log((epoch + 1) * steps, {"validation": history.validation[-1]})
            if first:
                state.model, state.optimizer = model.state_dict(), optimizer_tensors(optimizer)
                state.average = {} if average is None else average.module.state_dict()
                checkpoint.save(state)
    model.load_state_dict(state.best or kept.state_dict())
    model.requires_grad_().eval()
    return history


def _board(logs: Path, epochs: int, steps: int) -> SummaryWriter:
    """TensorBoard's curves: of another training they are thrown away, of this one they go on after its checkpoint."""
    if not epochs:
        shutil.rmtree(logs, ignore_errors=True)
    return SummaryWriter(str(logs), purge_step=epochs * steps + 1)


@dataclass(frozen=True)
class Run:
    """What the steps of one training share."""

    accelerator: Accelerator
    model: HtclNetwork
    still: Sequence[nn.Module]
    optimizer: torch.optim.Optimizer
    peaks: list[float]
    average: AveragedModel | None
    plan: TrainingPlan
    steps: int
    "Of the optimiser, in an epoch."
    meter: Meter
    board: SummaryWriter | None

    def epoch(self, epoch: int) -> float:
        """All batches of an epoch once; returns their mean loss."""
        settings = self.plan.settings
        torch.manual_seed(settings.seed + epoch + 1_000_003 * distributed.rank())
        forward: Any = torch.compile(self.model) if settings.compile else self.model
        self.model.train()
        for part in self.still:
            part.eval()
        losses: list[float] = []
        batches = list(self.plan.batches(epoch))
        group = settings.accumulate
        started = time.monotonic()
        for number, (batch, arguments) in enumerate(self._read_ahead(epoch, batches)):
            together = min(group, len(batches) - number // group * group)
            with self.accelerator.autocast():
                of_vectors = partial(_loss, batch, self.model.log_scales, 1 / together)
                loss = loss_and_gradient(forward, arguments, of_vectors, settings.at_once).item() * together
            if not math.isfinite(loss):
                raise FloatingPointError(f"{self.plan.name}: the loss is {loss} in epoch {epoch}, batch {number}")
            losses.append(loss)
            if number % group == together - 1:
                step = epoch * self.steps + number // group
                self._step(step, f"epoch {epoch}, batch {number}")
                rate = (number + 1) * len(batch.tracks) / (time.monotonic() - started)
                self._report(epoch, step + 1, loss, rate)
        return float(np.mean(losses))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """For TensorBoard."""
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{self.plan.name}/{name}", value, step)

    def _read_ahead(self, epoch: int, make: Sequence[Callable[[], Batch]]) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
        """Each batch and the model's arguments of this process's share of it; the next is read meanwhile."""
        settings, device = self.plan.settings, self.accelerator.device

        def read(number: int) -> tuple[Batch, dict[str, Tensor]]:
            batch = make[number]()
            key = (settings.seed, epoch, number)
            view = View(key, settings.crop_frames, settings.text_tokens, settings.forget)
            places = distributed.share(len(batch.tracks))
            return batch, self.plan.reader.read(batch.tracks[places], view, places)

        for batch, arguments in prefetched(read, len(make)):
            yield batch, moved(arguments, device)

    def _step(self, step: int, where: str) -> None:
        settings = self.plan.settings
        total = settings.epochs * self.steps
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * schedule(step / total, settings.warmup)
        try:
            descend(self.model, self.optimizer, settings.clip)
        except FloatingPointError as error:
            raise FloatingPointError(f"{self.plan.name}: {error} in {where}") from None
        if self.average is not None:
            self.average.update_parameters(self.model)

    def _report(self, epoch: int, step: int, loss: float, rate: float) -> None:
        scales = self.model.log_scales.detach().exp().tolist()
        self.log(step, {"loss": loss, "songs_per_second": rate, "rate": self.optimizer.param_groups[0]["lr"]})
        self.log(step, {f"scale_{number}": scale for number, scale in enumerate(scales, start=1)})
        facts = f"epoch {epoch + 1}/{self.plan.settings.epochs}  loss {loss:.2f}  scale {scales[0]:.1f}"
        self.meter.to(step, f"{facts}  {rate:.0f} songs/s")


def descend(model: HtclNetwork, optimizer: torch.optim.Optimizer, clip: float) -> None:
    """One step along the gradients of all processes, which are then forgotten. FloatingPointError: not finite."""
    distributed.average_gradients(model.parameters())
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the gradient is {norm}")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    model.clamp_scales()


def _loss(batch: Batch, log_scales: Tensor, factor: float, vectors: SongVectors) -> Tensor:
    return batch.loss(distributed.gather(vectors, len(batch.tracks)), log_scales) * factor


def _average(model: HtclNetwork, decay: float, state: State) -> AveragedModel:
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    if state.average:
        average.module.load_state_dict(state.average)
    average.n_averaged.fill_(1)  # at 0 the first update would drop what was restored
    return average


@torch.no_grad()
def _validate(validate: Callable[[HtclNetwork], float], kept: HtclNetwork, state: State) -> None:
    """Measure the weights that would be kept now, and keep them if they are the best."""
    history, training = state.history, kept.training
    kept.eval()
    # One process's word: where two differed by rounding, one might stop and the other wait for it.
    history.validation.append(distributed.from_first(lambda: validate(kept)))
    kept.train(training)
    if history.best is None or history.validation[-1] > history.validation[history.best - 1]:
        history.best = history.epochs
        state.best = {name: value.detach().clone() for name, value in kept.state_dict().items()}


def held_still(model: HtclNetwork, settings: TrainingSettings) -> list[nn.Module]:
    """The parts that this stage does not train: no gradient, no dropout."""
    if settings.lock_text:
        return [model.text_model, model.text_head]
    return [] if settings.text_lr else [model.text_model]


def parameter_groups(model: HtclNetwork, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Rates by part; no weight decay on parameters of one dimension or none (norms, biases, temperatures)."""
    rates = {"audio_model": settings.audio_lr, "text_model": settings.text_lr}
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
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
