"""The files of a published data set: in a folder, a zip, a tar, or one file alone.

They are read where they are. Nothing is unpacked to the disk, so that no name in an archive can lead anywhere.
"""

import bz2
import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from data.errors import UserError

DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError)
"""What reading a compressed file raises where it is cut or damaged; zipfile's NotImplementedError is a packing it does
not know, which a flipped bit gives too."""
PACKED: dict[str, Callable[..., Any]] = {
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
}
TARS = (".tar", *PACKED)


Opener = Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Member:
    """A file of the data set; one packed by gzip reads as what is in it, and its name is without the ending."""

    name: str
    "Below the folder or inside the archive, parts separated by /."
    open: Opener
    "Of a tar, valid until the next member is opened."


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The files whose names are wanted: outer folders first, then by name, 2 before 10; those of a tar as they come.

    Raises UserError where nothing is at `path`, or an archive that cannot be read; opening a file may raise it as well.
    """
    kind = path.name.lower()
    if not path.exists():
        raise UserError(f"{path} is missing.", "Give the folder, or the file, that was published.")
    if kind.endswith(".zst"):
        raise UserError(f"{path}: zstd is not read.", f"Unpack it (tar --zstd -xf {path.name}) and give the folder.")
    archived = _zipped if kind.endswith(".zip") else _tarred if kind.endswith(TARS) else None
    found = _in_folder(path) if path.is_dir() else archived(path) if archived else iter([(path.name, _opener(path))])
    for name, opened in found:
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
        plain = name[:-3] if name.lower().endswith(".gz") else name
        if not hidden and wanted(plain):
            yield Member(plain, _opening(f"{path}: {name}", opened, packed=plain != name))


def _in_folder(path: Path) -> Iterator[tuple[str, Opener]]:
    files = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    for name in sorted(files, key=_order):
        yield name, _opener(path / name)


def _opener(path: Path) -> Opener:
    return lambda: path.open("rb")


def _zipped(path: Path) -> Iterator[tuple[str, Opener]]:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise UserError(f"{path}: not a whole zip ({error}).", "Download it again.") from error
    with archive:
        names = sorted((info.filename for info in archive.infolist() if not info.is_dir()), key=_order)
        for name in names:
            yield name, partial(archive.open, name)


def _tarred(path: Path) -> Iterator[tuple[str, Opener]]:
    last = "its beginning"
    # Not tarfile's own unpacking, which takes a cut file for one that ends.
    unpack = next((unpack for ending, unpack in PACKED.items() if path.name.lower().endswith(ending)), open)
    try:
        # "r|": read once from front to back, for seeking in a compressed tar begins anew.
        with unpack(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                file = archive.extractfile(info) if info.isfile() else None
                if file is not None:
                    yield info.name.removeprefix("./"), _given(file)
                    last = info.name
                archive.members = []  # type: ignore[attr-defined]  # it would keep them all
    except DAMAGED as error:
        hint = "Download it again, or unpack what is whole and give the folder."
        raise UserError(f"{path}: damaged after {last} ({error}).", hint) from error


def _given(file: IO[bytes]) -> Opener:
    return lambda: file


def _opening(name: str, opened: Opener, packed: bool) -> Opener:
    def opening() -> IO[bytes]:
        try:
            return cast(IO[bytes], gzip.open(opened())) if packed else opened()
        except (*DAMAGED, RuntimeError) as error:  # RuntimeError: a zip under a password
            raise UserError(f"{name} cannot be read ({error}).") from error

    return opening


def _order(name: str) -> tuple[int, list[tuple[int, str]]]:
    return name.count("/"), [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d{1,9})", name)]
