"""Where the numbers come from: manifests of everything the workspace published, versions, and what runs now."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from data.storage.manifest import Manifest, read_manifest
from data.storage.publishing import PACKAGES
from data.storage.workspace import Workspace
from encoders.options import STAGES
from recsys.fitted.store import FittedSources


class Step(NamedTuple):
    """A published folder."""

    name: str
    made_at: str
    fingerprint: str
    trained_on: str
    bytes: int


class Cost(NamedTuple):
    """What a model takes. bytes: arrays that it holds once fitted; settings: what validation chose."""

    bytes: int | None
    settings: str
    trials: int | None
    validation: float | None


def steps(workspace: Workspace) -> list[tuple[str, Manifest]]:
    """The manifests that are there, in the order of making."""
    folders = {"dataset": workspace.dataset, "split": workspace.split}
    folders |= {"tuning: encoder, stage 2": workspace.tuning.encoder("preference"), "choices": workspace.tuning.models}
    for at, stage in enumerate(STAGES, start=1):
        folders |= {f"encoder, stage {at}": workspace.encoder(stage), f"vectors, stage {at}": workspace.vectors(stage)}
    folders["models"] = workspace.models
    return [(name, found) for name, folder in folders.items() if (found := read_manifest(folder)) is not None]


def step_rows(found: list[tuple[str, Manifest]]) -> list[Step]:
    """A line a folder."""
    return [
        Step(
            name,
            each.made_at,
            each.fingerprint,
            (each.trained_on or {}).get("part", ""),
            sum(int(facts["bytes"]) for facts in each.files.values()),
        )
        for name, each in found
    ]


def versions(found: list[tuple[str, Manifest]]) -> list[tuple[str, str, str]]:
    """(package, version the workspace was made with, version that wrote this page); several are joined."""
    packages = list(dict.fromkeys([*PACKAGES, *(name for _, each in found for name in each.versions)]))
    made = {
        name: ", ".join(sorted({each.versions[name] for _, each in found if name in each.versions}))
        for name in packages
    }
    now = {name: version(name) for name in PACKAGES}
    here = f"{platform.system()} {platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    return [("system and Python", "", here), *((name, made[name], now.get(name, "")) for name in packages)]


def data_facts(manifest: Manifest) -> list[tuple[str, str]]:
    """The data's manifest as lines: terms, rows, rejects, settings, checksums."""
    facts = manifest.facts
    lines = [(name, str(facts[name])) for name in ("importer", "terms", "source", "licence") if facts.get(name)]
    lines += [(f"rows of {name}", f"{count:,}") for name, count in facts.get("rows", {}).items()]
    lines.append(("rejected rows", f"{facts.get('rejected', 0):,}"))
    lines += [(f"merged {name}", f"{count:,}") for name, count in (facts.get("merged") or {}).items()]
    lines.append(("settings", _flat(manifest.settings)))
    lines.append(("made at", manifest.made_at))
    return lines + [(f"SHA-256 of {name}", str(each["sha256"])) for name, each in manifest.files.items()]


def costs(models: FittedSources, task: str, names: list[str]) -> dict[str, Cost]:
    """What each model of a task holds and was set to; a task or model that was not fitted is left out."""
    sources: Mapping[str, Any] = {str(key): value for key, value in models.sources.items()}.get(task, {})
    choices = models.choices
    settings = {str(key): value for key, value in choices.settings.items()}.get(task, {})
    reached = {str(key): value for key, value in choices.validation.items()}.get(task, {})
    fusion = {str(key): value for key, value in choices.fusion.items()}.get(task)
    found = {
        name: Cost(_held(source), _flat(settings.get(name, {})), choices.trials.get(name), reached.get(name))
        for name, source in sources.items()
    }
    if fusion is not None:
        parts = [found[name].bytes or 0 for name in fusion.taking_part() if name in found]
        found["fused"] = Cost(sum(parts), _flat(fusion.model_dump()), None, reached.get("fused"))
    return {name: found[name] for name in names if name in found}


def _held(source: Any) -> int:
    if hasattr(source, "near"):  # vectors, which are no part of its state
        return int(source.near.vectors.values.nbytes)
    return sum(int(array.nbytes) for array in source.state().values())


def _flat(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in settings.items() if value not in ({}, []))


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_flat(value)})"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
