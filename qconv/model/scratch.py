"""Temporary folders, gone when they are done with; those of runs that were killed are removed by the next one."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qconv.errors import OutputError

_OWNER = re.compile(r"\.?qconv-(?P<process>\d+)-(?P<machine>\w*)-")


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder in `parent`, where it is hidden, or where the system keeps temporary files.

    There, errors of the system while the folder is in use become OutputError; of `parent`, the caller knows what it is for.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    hidden = "" if parent is None else "."
    try:
        _remove_leftovers(place)
        prefix = f"{hidden}qconv-{os.getpid()}-{_machine()}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        if parent is not None:
            raise
        raise no_room(place, error) from error


def no_room(place: Path, error: OSError) -> OutputError:
    """What to say where a temporary file cannot be written."""
    return OutputError(f"temporary files cannot be written in {place}: {error.strerror or error}; make room, or set TMPDIR")


def _remove_leftovers(place: Path) -> None:
    """Removes the folders of processes of this machine that are no more."""
    for folder in (*place.glob(".qconv-*"), *place.glob("qconv-*")):
        owner = _OWNER.match(folder.name)
        if owner is not None and owner["machine"] == _machine() and not _lives(int(owner["process"])):
            shutil.rmtree(folder, ignore_errors=True)


def _machine() -> str:
    return re.sub(r"\W", "", platform.node())


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another's, or no process can have that number
        return True
    return True
