"""index.json: which backend wrote an index, and what must be found beside it."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, NonNegativeInt, PositiveInt, ValidationError

from data.errors import DamagedError

_FILE = "index.json"


class IndexCard(BaseModel):
    backend: str
    "A name in `recsys.index.BACKENDS`."
    dimension: PositiveInt
    "How many numbers a vector has."
    count: NonNegativeInt
    "How many songs the index holds."
    settings: dict[str, Any] = {}
    "The backend's settings."
    recall: float | None = None
    "Recall@100 against exact search, as measured before it was published; 1 for backends that are exact."

    def write(self, folder: Path) -> None:
        """Write it into `folder`."""
        (folder / _FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it from `folder`. Raises DamagedError where it is missing or unreadable."""
        path = folder / _FILE
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DamagedError(f"no index in {folder}: {_FILE} is missing", "Build the index first.") from None
        except (ValidationError, UnicodeDecodeError) as error:
            raise damaged(path, "it cannot be read") from error


def damaged(path: Path, what: str) -> DamagedError:
    """The error for a file that is not what `save` wrote."""
    return DamagedError(f"{path} is damaged: {what}", "Build the index again.")
