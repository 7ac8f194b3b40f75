from .dataset import Dataset, load_dataset, save_dataset
from .errors import DamagedError, UnknownIdError, UserError
from .ids import IdMap
from .split import Split, ensure_split
from .storage.workspace import Workspace
from .tables import SCHEMAS, Imported

__all__ = [
    "SCHEMAS",
    "DamagedError",
    "Dataset",
    "IdMap",
    "Imported",
    "Split",
    "UnknownIdError",
    "UserError",
    "Workspace",
    "ensure_split",
    "load_dataset",
    "save_dataset",
]

__version__: str
