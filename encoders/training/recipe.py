"""What a training is made by: a preset, a pre-trained text tower or none, and the user's own settings.

A workspace remembers it: whoever gives no preset gets what was built before.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, overload

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from data.errors import UserError, closest
from data.listening.pairs import PairSettings
from data.storage.hashing import sha256
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.load import STAGES, Stage
from encoders.model.config import Preset
from encoders.training.loop import TrainingSettings
from encoders.training.presets import PreferenceSettings, stage_settings

SETTINGS_HELP = "TOML file with tables semantic, preference and pairs: what is to differ from the preset."
SEE = 'README.md, "Training an encoder", says where settings stand.'
TABLES: dict[str, type[BaseModel]] = {
    "semantic": TrainingSettings,
    "preference": PreferenceSettings,
    "pairs": PairSettings,
}
PresetOption = Annotated[str | None, typer.Option(help="demo, small or paper; default: as built before, else demo.")]
TextEncoder = Annotated[Path | None, typer.Option(help="Folder of a pre-trained BERT-like model for the text tower.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help=SETTINGS_HELP)]


class Changes(BaseModel):
    """The settings of each stage, and of how its pairs are mined, that differ from the preset's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    semantic: dict[str, Any] = {}
    preference: dict[str, Any] = {}
    pairs: dict[str, Any] = {}

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Raises UserError for a file that cannot be read, an unknown setting, and a value out of its range."""
        try:
            written = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}).") from error
        for table, values in written.items():
            if table not in TABLES or not isinstance(values, dict):
                raise UserError(f"{path}: {table} is no table of settings{closest(table, TABLES)}.", SEE)
            try:
                TABLES[table].model_validate(values)
            except ValidationError as error:
                first = error.errors()[0]
                name, said = str(first["loc"][0]), f" {first['msg']}."
                if first["type"] == "extra_forbidden":
                    said = f" no such setting{closest(name, TABLES[table].model_fields)}."
                raise UserError(f"{path}: [{table}] {name}:{said}", SEE) from error
        return cls.model_validate(written)

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

    @property
    def pairs(self) -> PairSettings:
        """How similar songs are mined."""
        return PairSettings.model_validate(self.changes.pairs)


def choose_recipe(
    workspace: Workspace, preset: str | None, text_encoder: Path | None, settings: Path | None = None
) -> Recipe:
    """What the user gave, else what this workspace was built with, else the demo preset. Raises UserError."""
    # The encoder for tuning is trained first, so after a cut it knows better what was wanted last.
    built = {
        stage: read_manifest(workspace.tuning.encoder(stage)) or read_manifest(workspace.encoder(stage))
        for stage in STAGES
    }
    first = built["semantic"]
    if preset is not None and preset not in get_args(Preset):
        raise UserError(f'no preset "{preset}"', "Take demo, small or paper.")
    chosen: Preset = preset or (first.settings["preset"] if first else "demo")  # type: ignore[assignment]
    tower = None if text_encoder is None else tower_fingerprint(text_encoder)
    remembered: dict[str, Any] = {}
    if preset is None and first is not None:
        if text_encoder is None and "text_encoder" in first.made_from:
            text_encoder, tower = Path(first.facts["text_encoder"]), first.made_from["text_encoder"]
        for manifest in built.values():
            remembered |= manifest.facts.get("changes", {}) if manifest else {}
    changes = Changes.model_validate(remembered) if settings is None else Changes.from_toml(settings)
    return Recipe(chosen, text_encoder, tower, changes)


def tower_fingerprint(folder: Path) -> str:
    """Stands for a pre-trained tower: the digest of its weights."""
    weights = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("pytorch_model*.bin"))
    if not weights:
        raise UserError(f"no weights in {folder}", "--text-encoder takes a folder saved by transformers.")
    return sha256(weights[0])[:16]
