"""A public data set as its importer yields it: tables in parts, so that one part bounds the memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.tables import TablePart


@dataclass(frozen=True)
class DataSet:
    """A public data set: what it is, and how its published files are read."""

    name: str
    about: str
    "One line: what it holds."
    terms: str
    "Its licence or terms of use, one line."
    source: str
    "Where its publisher gives it out."
    files: str
    "What --path must point to: the folder, and the files in it by their published names."
    read: Callable[[Path], Iterator[TablePart]]
    "Raises UserError where the folder holds none of the files, and says which were expected."
    ordered: Callable[[Path], bool] = lambda path: True
    "Whether the files there say in which order a listener played, or what is given as the order is drawn."
