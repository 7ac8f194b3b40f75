"""Files and folders that are replaced whole: a reader sees the old content or the new, never a part."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder, folder.parent]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def swap_folders(staging: Path, target: Path) -> None:
    """Put `staging` in the place of `target`. A full folder cannot be replaced in one call: the old one steps aside,
    and `restore_folder` brings it back where that was cut off."""
    restore_folder(target)
    aside = target.with_name(f".{target.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    while staging.exists():
        if target.exists():
            os.replace(target, aside)
        try:
            os.replace(staging, target)
        except OSError as error:
            # A reader saw the gap between the two lines and restored the old one.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    shutil.rmtree(aside, ignore_errors=True)


def restore_folder(target: Path) -> None:
    aside = target.with_name(f".{target.name}.old")
    if aside.exists() and not target.exists():
        # Another process may be faster, with this or with the new version.
        with suppress(OSError):
            os.replace(aside, target)
