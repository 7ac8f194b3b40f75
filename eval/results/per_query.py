"""Values per query, kept beside a report, so that two runs can be compared query by query."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import DamagedError
from eval.metrics.slices import HEADLINE, Slice
from recsys.tasks import HeldOut

KEPT = ("ndcg@100", "recall@20", "recall@100", "ndcg@500", "mrr@20")
"""Metrics whose values are kept, on the headline slices."""
SEPARATOR = "|"


@dataclass(frozen=True)
class PerQuery:
    """One task's values.

    keys: (Q,) uint64, equal where two runs asked the same. groups: (Q,) who asks. asked: slice -> (Q,) which queries it
    holds. values: metric, with its slice -> (models, queries of the slice) float32.
    """

    models: tuple[str, ...]
    keys: NDArray[np.uint64]
    groups: NDArray[np.int64]
    asked: dict[str, NDArray[np.bool_]]
    values: dict[str, NDArray[np.float32]]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        question: HeldOut,
        parts: Sequence[Slice],
        values: Mapping[str, Mapping[str, NDArray[np.float64]]],
    ) -> "PerQuery":
        """values: model -> metric -> (queries of its slice,)."""
        kept = {part.prefix: part.asked for part in parts if part.prefix in HEADLINE}
        found = {
            f"{prefix}{metric}": np.stack([of[f"{prefix}{metric}"] for of in values.values()]).astype(np.float32)
            for prefix in kept
            for metric in KEPT
        }
        return cls(tuple(values), query_keys(dataset, question), question.groups, kept, found)

    def arrays(self, task: str) -> dict[str, NDArray[np.generic]]:
        """As they go into the file."""
        found: dict[str, NDArray[np.generic]] = {
            "models": np.array(self.models),
            "keys": self.keys,
            "groups": self.groups,
            **{f"asked{SEPARATOR}{prefix}": mask for prefix, mask in self.asked.items()},
            **{f"values{SEPARATOR}{metric}": value for metric, value in self.values.items()},
        }
        return {f"{task}{SEPARATOR}{name}": array for name, array in found.items()}


def query_keys(dataset: Dataset, question: HeldOut) -> NDArray[np.uint64]:
    """(Q,) a number for what is asked: who, the songs given, the words, and the songs wanted, by their outside ids.

    What is asked again (sessions have no name, and many begin alike) has another number each time, or a comparison
    would count it once.
    """
    names, users, starts = dataset.track_ids.names, dataset.user_ids.names, question.targets.offsets
    keys = np.empty(len(question.queries), np.uint64)
    before: Counter[int] = Counter()
    for at, query in enumerate(question.queries):
        wanted = question.targets.tracks[starts[at] : starts[at + 1]]
        who = "" if query.user is None else users[query.user]
        told = [[who, query.text or ""], [names[t] for t in query.history], sorted(names[t] for t in wanted)]
        text = "\x1e".join("\x1f".join(part) for part in told)
        key = _number(text)
        keys[at] = _number(f"{text}\x1e{before[key]}") if before[key] else key
        before[key] += 1
    return keys


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def save_per_query(path: Path, tasks: Mapping[str, PerQuery]) -> None:
    """Write the values of all tasks into one npz file."""
    arrays = {name: array for task, values in tasks.items() for name, array in values.arrays(task).items()}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load_per_query(path: Path) -> dict[str, PerQuery]:
    """What save_per_query wrote, by task. Raises DamagedError where the file cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DamagedError(f"{path} cannot be read", "Measure again with python -m eval.run.") from error
    found = {}
    for task in dict.fromkeys(name.partition(SEPARATOR)[0] for name in arrays):

        def named(kind: str, task: str = task) -> dict[str, NDArray[np.generic]]:
            begins = f"{task}{SEPARATOR}{kind}{SEPARATOR}"
            return {name.removeprefix(begins): array for name, array in arrays.items() if name.startswith(begins)}

        found[task] = PerQuery(
            tuple(str(name) for name in arrays[f"{task}{SEPARATOR}models"]),
            arrays[f"{task}{SEPARATOR}keys"],
            arrays[f"{task}{SEPARATOR}groups"],
            named("asked"),  # type: ignore[arg-type]
            named("values"),  # type: ignore[arg-type]
        )
    return found
