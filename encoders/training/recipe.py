"""The recipe of a training: a preset, an optional pre-trained text tower, and the user's settings.

A workspace remembers it: whoever gives no preset gets what was built before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, overload

from pydantic import BaseModel, ConfigDict

from data.errors import UserError
from data.listening.pairs import RULES, PairSettings
from data.settings_file import read_settings
from data.storage.hashing import plain, sha256
from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from encoders.options import PRODUCT_TABLES, STAGES, Preset, Stage, check_preset
from encoders.pretrained.text_tower import NONE, find_tower, installed_tower
from encoders.training.initialisation import START
from encoders.training.loop import TrainingSettings
from encoders.training.presets import PreferenceSettings, stage_settings

TABLES: dict[str, type[BaseModel]] = {
    "semantic": TrainingSettings,
    "preference": PreferenceSettings,
    "pairs": PairSettings,
}


class Changes(BaseModel):
    """The settings of each stage, and of how its pairs are mined, that differ from the preset's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    semantic: dict[str, Any] = {}
    preference: dict[str, Any] = {}
    pairs: dict[str, Any] = {}

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """The file's tables of training. Raises UserError for an unknown table or setting and a value out of range."""
        return cls.model_validate(read_settings(path, TABLES, PRODUCT_TABLES))

    def of(self, stage: Stage) -> dict[str, dict[str, Any]]:
        """The tables that this stage depends on, those that change anything."""
        tables = {"preference": self.preference, "pairs": self.pairs}
        if stage == "semantic":
            tables = {"semantic": self.semantic}
        return {name: values for name, values in tables.items() if values}


@dataclass(frozen=True)
class Recipe:
    """Which model is trained, and how. tower: the digest of the text encoder's weights."""

    preset: Preset
    text_encoder: Path | None = None
    tower: str | None = None
    changes: Changes = field(default_factory=Changes)
    statistics: bool = True
    "Whether the audio vector also reads band statistics, where the preset says so."

    @overload
    def settings(self, stage: Literal["preference"]) -> PreferenceSettings: ...

    @overload
    def settings(self, stage: Stage, mels: bool = True) -> TrainingSettings: ...

    def settings(self, stage: Stage, mels: bool = True) -> TrainingSettings:
        """The preset's settings for a stage with the user's changes. mels: whether any song has one."""
        settings = stage_settings(self.preset, stage, self.tower is not None, mels)
        changes = self.changes.semantic if stage == "semantic" else self.changes.preference
        return type(settings).model_validate(settings.model_dump() | changes)

    def made(self, encoder: Manifest, stage: Stage, seen: str) -> bool:
        """Whether this recipe made an encoder, from whatever data. seen: the part of the listening it may learn from.

        What another version of this program sets differently does not count: an encoder is not outdated by that.
        """
        known = encoder.settings.get("preset"), encoder.settings.get("train_on"), encoder.made_from.get("text_encoder")
        changes = plain(self.changes.of(stage))
        return known == (self.preset, seen, self.tower) and encoder.facts.get("changes", {}) == changes

    @property
    def pairs(self) -> PairSettings:
        """How similar songs are mined."""
        return PairSettings.model_validate(self.changes.pairs)


def choose_recipe(
    workspace: Workspace, preset: str | None, text_encoder: str | None, settings: Path | None = None
) -> Recipe:
    """What the user gave, else what this workspace was built with, else the defaults. Raises UserError.

    Defaults: the small preset for a folder of music, with the text tower that the extra `words` installs; the demo
    preset for everything else.
    """
    check_preset(preset)
    # The encoder for tuning is trained first, so after a cut it knows better what was wanted last.
    built = {
        stage: read_manifest(workspace.tuning.encoder(stage)) or read_manifest(workspace.encoder(stage))
        for stage in STAGES
    }
    first = built["semantic"]
    remembered: dict[str, Any] = {}
    tower_folder, tower = None, None
    if preset is None and first is not None:
        chosen: Preset = first.settings["preset"]
        if text_encoder is None and "text_encoder" in first.made_from:
            tower_folder, tower = Path(first.facts["text_encoder"]), first.made_from["text_encoder"]
        for manifest in built.values():
            remembered |= manifest.facts.get("changes", {}) if manifest else {}
    else:
        chosen = preset or _default_preset(workspace)  # type: ignore[assignment]
        if text_encoder is None and chosen == "small":
            tower_folder = installed_tower()
    if text_encoder is not None and text_encoder != NONE:
        tower_folder = find_tower(text_encoder)
    if tower_folder is not None and tower is None:
        tower = tower_fingerprint(tower_folder)
    changes = Changes.model_validate(remembered) if settings is None else Changes.from_toml(settings)
    return Recipe(chosen, tower_folder, tower, changes)


def _default_preset(workspace: Workspace) -> Preset:
    dataset = read_manifest(workspace.dataset)
    importers = "" if dataset is None else str(dataset.settings.get("importer"))
    return "small" if "folder" in importers.split(" + ") else "demo"


def tower_fingerprint(folder: Path) -> str:
    """Stands for a pre-trained tower: the digest of its weights."""
    weights = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("pytorch_model*.bin"))
    if not weights:
        raise UserError(f"no weights in {folder}", "--text-encoder takes a folder saved by transformers.")
    return sha256(weights[0])[:16]


@dataclass(frozen=True)
class TrainingIdentity:
    """What a training is: two of the same identity give the same weights, so the second is skipped or resumed.

    made_from: fingerprints of what it reads. settings: as recorded in its manifest.
    """

    made_from: dict[str, str]
    settings: dict[str, Any]

    @classmethod
    def of(
        cls, recipe: Recipe, read: Mapping[str, str], settings: Mapping[str, Any], pairs: bool, tower: bool = True
    ) -> Self:
        """read: fingerprints of the dataset, split and mels, and of the encoder it starts from, if any. pairs: whether
        it learns from mined pairs. tower: whether the recipe's text tower starts it (an encoder that does has it).
        """
        made_from = dict(read)
        if tower and recipe.tower is not None:
            made_from |= {"text_encoder": recipe.tower, "start": START}
        if pairs:
            made_from["pairs"] = RULES
        return cls(made_from, dict(settings))

    @property
    def key(self) -> list[dict[str, Any]]:
        """What a checkpoint must have been written by to be resumed."""
        return [self.made_from, self.settings]
