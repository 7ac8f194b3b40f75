"""`python -m encoders.train`: train one stage of the encoder on the workspace's catalogue and publish it."""

import time
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import typer
from numpy.typing import NDArray
from transformers import AutoTokenizer

from data.command import WorkspaceOption, run
from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.pairs import PairSettings, mine_pairs
from data.progress import done, say
from data.split import Split, ensure_split
from data.workspace import Workspace, is_current, publishing, sha256, verify
from encoders.batches import SongReader
from encoders.config import HtclConfig, Preset, preset_config
from encoders.features import Mels, ensure_mels
from encoders.model import HtclModel
from encoders.processing import HtclFeatureExtractor, HtclProcessor
from encoders.stages import Stage, fit_text_head, stage_settings, train_preference, train_semantic
from encoders.text import load_text_tower, track_texts, train_wordpiece

app = typer.Typer(add_completion=False, help=__doc__)

TrainOn = Annotated[str, typer.Option(help="split: the training part, for measuring. all: everything, for production.")]
TextEncoder = Annotated[Path | None, typer.Option(help="Folder of a pre-trained BERT-like model for the text tower.")]


@app.command()
def main(
    stage: Annotated[str, typer.Option(help="semantic (stage 1, audio and text) or preference (stage 2, listening).")],
    workspace: WorkspaceOption = "workspace",
    preset: Annotated[str, typer.Option(help="demo, small or paper.")] = "demo",
    text_encoder: TextEncoder = None,
    train_on: TrainOn = "split",
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted run.")] = True,
) -> None:
    """Train one stage; skipped where nothing has changed since the last time."""
    space = Workspace(Path(workspace))
    with space.lock():
        dataset = load_dataset(space)
        if not resume:
            space.discard_scratch(f"train-{stage}")
        train_stage(space, dataset, check_stage(stage), check_preset(preset), text_encoder, train_on)
    say(f"Encoder in {space.encoder(stage)}. Next: python -m encoders.embed --workspace {workspace}")


def check_stage(stage: str) -> Stage:
    if stage not in get_args(Stage):
        raise UserError(f'no stage "{stage}"', "Take semantic or preference.")
    return stage  # type: ignore[return-value]


def check_preset(preset: str) -> Preset:
    if preset not in get_args(Preset):
        raise UserError(f'no preset "{preset}"', "Take demo, small or paper.")
    return preset  # type: ignore[return-value]


def train_stage(
    workspace: Workspace, dataset: Dataset, stage: Stage, preset: Preset, text_encoder: Path | None, train_on: str
) -> None:
    """Train one stage and publish its encoder, unless the one there was made from the same things.

    Stage 1 is skipped where no song has audio and text, stage 2 where no two songs go together; what came before is
    then published as it is, and the manifest says so.
    """
    if train_on not in ("split", "all"):
        raise UserError(f'--train-on "{train_on}"', "Take split or all.")
    split = ensure_split(workspace, dataset)
    mels = ensure_mels(workspace.mels, dataset)
    pretrained = text_encoder is not None
    settings = stage_settings(preset, stage, pretrained)
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint, "mels": mels.fingerprint}
    if text_encoder is not None:
        made_from["text_encoder"] = tower_fingerprint(text_encoder)
    if stage == "preference":
        made_from["semantic"] = verify(workspace.encoder("semantic")).fingerprint
    recorded = {"preset": preset, "train_on": train_on, **settings.model_dump()}
    target = workspace.encoder(stage)
    if is_current(target, made_from, recorded):
        return
    started = time.monotonic()
    trained_on = {"part": train_on, "split": split.fingerprint}
    scratch = workspace.scratch(f"train-{stage}")
    allowed = trainable_tracks(split, train_on)
    learn = _learn_semantic if stage == "semantic" else _learn_preference
    model, tokenizer, facts = learn(
        workspace, dataset, split, mels, allowed, preset, text_encoder, scratch, [made_from, recorded]
    )
    with publishing(target, f"encoder-{stage}", made_from, recorded, trained_on) as draft:
        model.save_pretrained(draft.folder)
        HtclProcessor(HtclFeatureExtractor(), tokenizer).save_pretrained(draft.folder)
        draft.facts |= facts
    workspace.discard_scratch(f"train-{stage}")
    done("stage 1" if stage == "semantic" else "stage 2", facts["summary"], time.monotonic() - started)


def trainable_tracks(split: Split, train_on: str) -> NDArray[np.int32]:
    """Tracks that may take part in training: under `split` all but those whose listening is held out whole."""
    allowed = np.ones(len(split.cold), np.bool_) if train_on == "all" else ~split.held_out_only
    return np.flatnonzero(allowed).astype(np.int32)


def tower_fingerprint(folder: Path) -> str:
    """Stands for a pre-trained tower: the digest of its weights."""
    weights = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("pytorch_model*.bin"))
    if not weights:
        raise UserError(f"no weights in {folder}", "--text-encoder takes a folder saved by transformers.")
    return sha256(weights[0])[:16]


def read_encoder(workspace: Workspace, stage: Stage) -> tuple[HtclModel, Any, HtclConfig]:
    """A published encoder: model, tokenizer, configuration. Raises DamagedError where a file is not what was published."""
    folder = workspace.encoder(stage)
    verify(folder)
    model = HtclModel.from_pretrained(folder, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True), model.config


def _learn_semantic(
    workspace: Workspace,
    dataset: Dataset,
    split: Split,
    mels: Mels,
    allowed: NDArray[np.int32],
    preset: Preset,
    text_encoder: Path | None,
    scratch: Path,
    identity: object,
) -> tuple[HtclModel, Any, dict[str, Any]]:
    settings = stage_settings(preset, "semantic", text_encoder is not None)
    texts = track_texts(dataset.tracks)
    known = [text for track in allowed if (text := texts[track]) is not None]
    model, tokenizer = fresh_model(preset, text_encoder, known, scratch, settings.seed)
    reader = SongReader(mels, texts, tokenizer)
    both = allowed[reader.has_audio[allowed] & reader.has_text[allowed]]
    if len(both) >= 2:
        losses = train_semantic(model, reader, both, settings, scratch, identity)
        summary = f"{len(both):,} songs with audio and text, loss {losses[0]:.2f} -> {losses[-1]:.2f}"
        return model, tokenizer, {"losses": losses, "songs": len(both), "summary": summary}
    summary = "skipped: no two songs have both audio and text"
    if text_encoder is not None and known and not reader.has_audio.any():
        error = fit_text_head(model, known, tokenizer, seed=settings.seed)
        summary += f"; text head keeps the tower's cosines within {error:.3f}"
    return model.eval(), tokenizer, {"skipped": True, "summary": summary}


def _learn_preference(
    workspace: Workspace,
    dataset: Dataset,
    split: Split,
    mels: Mels,
    allowed: NDArray[np.int32],
    preset: Preset,
    text_encoder: Path | None,
    scratch: Path,
    identity: object,
) -> tuple[HtclModel, Any, dict[str, Any]]:
    settings = stage_settings(preset, "preference", text_encoder is not None)
    model, tokenizer, _ = read_encoder(workspace, "semantic")
    reader = SongReader(mels, track_texts(dataset.tracks), tokenizer)
    pairs = mine_pairs(dataset if len(allowed) == len(dataset.track_ids) else split.training(dataset), PairSettings())
    if pairs.height < 2:
        return model, tokenizer, {"skipped": True, "summary": "skipped: no listening that makes two songs a pair"}
    losses = train_preference(model, reader, pairs, settings, scratch, identity)
    summary = f"{pairs.height:,} similar-song pairs, loss {losses[0]:.2f} -> {losses[-1]:.2f}"
    return model, tokenizer, {"losses": losses, "pairs": pairs.height, "summary": summary}


def fresh_model(
    preset: Preset, text_encoder: Path | None, texts: list[str], scratch: Path, seed: int
) -> tuple[HtclModel, Any]:
    """A model with new weights but for a pre-trained text tower, and its tokenizer (learned from `texts` without one).

    Raises UserError for the paper preset without a text tower: its BERT is far too large to learn from a catalogue.
    """
    import torch

    torch.manual_seed(seed)
    if text_encoder is not None:
        tower, tokenizer, pooling = load_text_tower(text_encoder)
        config = preset_config(preset)
        config.text_config, config.text_pooling = tower.config, pooling
        model = HtclModel(config)
        model.text_model.load_state_dict(tower.state_dict(), strict=False)
        return model, tokenizer
    if preset == "paper":
        raise UserError("the paper preset needs a pre-trained text tower", "Give --text-encoder FOLDER.")
    tokenizer = train_wordpiece(texts, scratch / "vocabulary")
    return HtclModel(preset_config(preset, len(tokenizer))), tokenizer


if __name__ == "__main__":
    run(app)
