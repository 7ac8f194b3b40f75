"""Two processes against one: the same gradients, the same training, one encoder published."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, multiprocessing

import encoders.training.epoch_selection as validation
from data.storage.workspace import Workspace
from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.model.outputs import SongVectors
from encoders.training import distributed as processes
from encoders.training.gradient_cache import loss_and_gradient
from encoders.training.losses import PairTerms, Skipped, preference_loss, semantic_loss
from encoders.training.presets import PreferenceSettings
from encoders.training.stages import Listening, TrainingFolder, train_preference, train_semantic
from tests.encoders.conftest import COUNT, MakeCatalogue, listens, manifest_of
from tests.encoders.toys import build_reader, tiny_model, toy_mels, toy_texts

SONGS = 16
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A batch of the first `rows` songs and its loss. Every second song is the second process's."""

    stage: str
    rows: int
    lacking: str = ""
    "What no song of the second process has, or `mixed`: songs here and there lack the one or the other."
    at_once: int | None = None
    lock_text: bool = False

    def __str__(self) -> str:
        return "-".join(f"{part}" for part in (self.stage, self.rows, self.lacking, self.at_once, self.lock_text))


CASES = [
    *(
        Case(stage, rows, lacking, at_once)
        for stage in ("semantic", "preference")
        for rows, lacking in ((12, ""), (11, ""), (12, "mixed"), (12, "audio"), (11, "text"), (12, "precomputed"))
        for at_once in (None, 2)
    ),
    Case("semantic", 12, "text", lock_text=True),
    Case("preference", 12, "audio", lock_text=True),
    Case("semantic", 1),
]


class Doubled(SongReader):
    """Reads in double precision, so that two ways to add the same numbers up differ by nothing to speak of."""

    def read(self, tracks: NDArray[np.int32], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        songs = super().read(tracks, *args, **kwargs)
        return {name: value.double() if value.is_floating_point() else value for name, value in songs.items()}


def doubled(folder: Path, lacking: str = "", table: bool = True) -> Doubled:
    mels: list[Any] = list(toy_mels(SONGS))
    texts: list[Any] = list(toy_texts(SONGS))
    features = np.random.default_rng(0).standard_normal((SONGS, 3)).astype(np.float32)
    if lacking == "audio":
        mels[1::2], features[1::2] = [None] * (SONGS // 2), np.nan
    if lacking == "precomputed":
        features[1::2] = np.nan
    if lacking == "text":
        texts[1::2] = [None] * (SONGS // 2)
    if lacking == "mixed":
        mels[:3], features[2:4], texts[5:8] = [None] * 3, np.nan, [None] * 3
    made = build_reader(folder, mels, toy_texts(SONGS))
    return Doubled(made.mels, texts, made.tokenizer, features if table else None)


def fresh(reader: SongReader, **settings: Any) -> HtclModel:
    width = 0 if reader.precomputed is None else reader.precomputed.shape[1]
    return tiny_model(vocabulary=len(reader.tokenizer), feature_dim=width, **settings).double()


def loss_of(case: Case, vectors: SongVectors, log_scales: Tensor) -> Tensor:
    """Pairs of the first and the second half; where the batch is odd, the song that is left over is skipped."""
    if case.stage == "semantic":
        return semantic_loss(vectors, log_scales)
    whole = case.rows // 2 * 2
    skipped = Skipped(vectors.rows(slice(whole, None)), torch.tensor([1])) if case.rows > whole else None
    terms = PairTerms(torch.eye(whole, dtype=torch.bool), skipped=skipped, fused_pairs=0.5)
    return preference_loss(*vectors.rows(slice(0, whole)).halves(), log_scales, terms)


def gradients(case: Case, folder: Path) -> Weights:
    """Of a batch, as a training step would find them; "loss" beside them."""
    reader = doubled(folder, case.lacking)
    model = fresh(reader, fusion="gated").train()
    model.text_model.requires_grad_(not case.lock_text)
    model.text_head.requires_grad_(not case.lock_text)
    places = processes.share(case.rows)
    songs = reader.read(np.arange(case.rows, dtype=np.int32)[places])

    def loss(vectors: SongVectors) -> Tensor:
        return loss_of(case, processes.gather(vectors, case.rows), model.log_scales)

    found = {"loss": loss_and_gradient(model, songs, loss, case.at_once)}
    processes.average_gradients(model.parameters())
    return found | {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


COUPLES = np.arange(SONGS).reshape(-1, 2)
SCHEMA = {"first": pl.Int32, "second": pl.Int32, "support": pl.Float64, "weight": pl.Float64}
SETTINGS = PreferenceSettings(
    epochs=3,
    steps_per_epoch=3,
    batch_size=5,
    accumulate=2,
    at_once=2,
    lr=3e-3,
    audio_lr=3e-3,
    text_lr=3e-3,
    ema=0.5,
    validation_share=0.25,
    crop_frames=20,
    forget=0.3,
    fusion="gated",
    hard_negatives=0.5,
)


def trained(stage: str, reader: SongReader, scratch: Path) -> Weights:
    """Ends with the weights and, beside them, every epoch's loss and validation."""
    scratch.mkdir(parents=True, exist_ok=True)
    model = fresh(reader)
    if processes.rank() > 0:  # whatever it starts from, the first process's weights count
        torch.nn.init.ones_(model.audio_head[0].weight)
    place = TrainingFolder(scratch, "a", scratch / "logs")
    if stage == "semantic":
        history = train_semantic(model, reader, np.arange(SONGS, dtype=np.int32), SETTINGS, place)
    else:
        pairs = pl.DataFrame([(a, b, 2.0, 1.0) for a, b in COUPLES], SCHEMA, orient="row")
        skips = pl.DataFrame(
            [(a, (a + 5) % SONGS, 2.0) for a in range(SONGS)], dict(list(SCHEMA.items())[:3]), orient="row"
        )
        history = train_preference(model, reader, Listening(pairs, skips), SETTINGS, place)
    assert history.epochs == len(history.validation) == 3
    facts = {"losses": torch.tensor(history.losses), "validation": torch.tensor(history.validation)}
    return facts | {name: value.clone() for name, value in model.state_dict().items()}


class Interrupting(Doubled):
    """Fails when the sixth batch is to be read: in the second epoch."""

    read_so_far = 0

    def read(self, tracks: NDArray[np.int32], view: Any = None, places: Any = None) -> dict[str, Tensor]:
        if places is not None:
            Interrupting.read_so_far += 1
            if Interrupting.read_so_far == 6:
                raise InterruptedError
        return super().read(tracks, view, places)


def resumed(reader: Doubled, scratch: Path) -> Weights:
    with pytest.raises(InterruptedError):
        trained("preference", Interrupting(reader.mels, reader.texts, reader.tokenizer), scratch)
    processes.wait()
    assert (scratch / "checkpoint.safetensors").exists()
    return trained("preference", reader, scratch)


def everything(folder: Path) -> dict[str, Weights]:
    """What one process, or each of several, makes of every case."""
    torch.set_num_threads(1)
    validation.LEAST = 4
    own = folder / str(processes.rank())
    found = {str(case): gradients(case, own) for case in CASES}
    reader = doubled(own, table=False)
    found |= {stage: trained(stage, reader, folder / stage) for stage in ("semantic", "preference")}
    found["finished"] = trained("preference", reader, folder / "preference")
    found["resumed"] = resumed(reader, folder / "resumed")
    return found


def worker(rank: int, folder: Path, port: int) -> None:
    where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in where.items()}
    processes.PATIENCE = timedelta(seconds=60)
    processes.join()
    assert (processes.rank(), processes.count()) == (rank, 2)
    torch.save(everything(folder), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


Found = dict[str, Weights]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("together")
    multiprocessing.spawn(worker, (folder, free_port()), nprocs=2)
    first, second = (torch.load(folder / f"{rank}.pt") for rank in (0, 1))
    return first, second


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Found:
    least = validation.LEAST
    Interrupting.read_so_far = 0
    found = everything(tmp_path_factory.mktemp("alone"))
    validation.LEAST = least
    return found


def near(found: Weights, expected: Weights, atol: float = 1e-9) -> None:
    for name in found.keys() | expected.keys():
        # A weight that one process does not use at all has no gradient there, which is a gradient of 0.
        present = found.get(name, expected.get(name))
        assert present is not None
        nothing = torch.zeros_like(present)
        one, other = found.get(name, nothing), expected.get(name, nothing)
        torch.testing.assert_close(one, other, rtol=1e-6, atol=atol, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_processes_give_the_gradient_of_one(case: Case, together: tuple[Found, Found], alone: Found) -> None:
    expected = alone[str(case)]
    assert case.rows == 1 or max(value.abs().max() for value in expected.values()) > 1e-3
    for found in together:
        near(found[str(case)], expected)


class TestTraining:
    @pytest.mark.parametrize("stage", ["semantic", "preference"])
    def test_ends_with_the_same_weights_everywhere_and_those_of_one_process(
        self, stage: str, together: tuple[Found, Found], alone: Found
    ) -> None:
        first, second = (found[stage] for found in together)
        assert all(torch.equal(value, second[name]) for name, value in first.items())
        near(first, alone[stage], atol=1e-6)

    @pytest.mark.parametrize("again", ["finished", "resumed"])
    def test_goes_on_from_the_one_checkpoint(self, again: str, together: tuple[Found, Found]) -> None:
        for found in together:
            assert all(torch.equal(value, found["preference"][name]) for name, value in found[again].items())


@pytest.mark.parametrize(("rows", "count"), [(1, 1), (7, 1), (8, 2), (7, 2), (1, 2), (1, 3), (2, 5), (11, 4)])
def test_shares_hold_every_place_and_are_put_in_order_again(
    rows: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "count", lambda: count)
    shares = []
    for rank in range(count):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        shares.append(torch.from_numpy(processes.share(rows)))
    assert len({len(share) for share in shares}) == 1
    assert processes._in_order(torch.stack(shares), rows).tolist() == list(range(rows))


TINY = """
import sys

from data.console.progress import listen
from encoders.options import STAGES
from encoders.train import main
from encoders.training import publish_stage
from encoders.training.presets import SETTINGS
from tests.encoders.toys import tiny_config

for stage in STAGES:
    changed = {"epochs": 2, "batch_size": 8, "steps_per_epoch": 3 if stage == "preference" else None}
    SETTINGS["demo", stage] = SETTINGS["demo", stage].model_copy(update=changed)
publish_stage.preset_config = lambda preset, vocabulary=64: tiny_config(vocabulary)
listen()
for stage in STAGES:
    main(stage, sys.argv[1])
"""


def test_the_command_publishes_once_under_a_launcher(make_catalogue: MakeCatalogue, tmp_path: Path) -> None:
    workspace: Workspace = make_catalogue(COUNT, listens=listens())[0]
    script = tmp_path / "tiny.py"
    script.write_text(TINY)
    root = str(Path(__file__).parents[3])
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    command = [*launch, str(script), str(workspace.root)]
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    # Stage 2 is trained for tuning and again for what is published; stage 1 is the same in both.
    for line, times in (("  stage 1 ", 1), ("  stage 2 ", 2), ("Encoder in ", 2)):
        assert ended.stderr.count(line) == times, ended.stderr
    assert len(manifest_of(workspace, "semantic").facts["losses"]) == 2
    assert manifest_of(workspace, "preference").facts["pairs"] > 0
    assert not list((workspace.root / ".work").iterdir())
