"""What a command may write where: no output is one of its inputs, and none replaces a file of another kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import combinations
from mmap import ACCESS_READ, mmap
from pathlib import Path

from qconv.errors import OutputError
from qconv.integer.metadata import PREFIX
from qconv.model.save import PRODUCER, check_folder_writable, check_writable

_FIRST_NAME = 30  # bytes in front of the name of the first entry of a zip
_HEAD = 4096  # bytes; every file of ours names its format within them
_FORMAT = re.compile(rb'"format":\s*"qconv-([a-z]+)-\d+"')


class Kind(Enum):
    """What a file holds, as a person says it."""

    MODEL = "a model that qconv did not make"
    INTEGER = "an integer model"
    QDQ = "a model with QuantizeLinear and DequantizeLinear"
    TABLE = "a table of multipliers"
    CALIBRATION = "a calibration"
    PLAN = "a plan"
    PROGRESS = "the progress of a calibration"
    SAMPLES = "samples"
    MOMENTS = "second moments"
    NETWORK = "a complete table"
    OTHER = "another file of qconv"


_KINDS = {
    b"table": Kind.TABLE,
    b"calibration": Kind.CALIBRATION,
    b"plan": Kind.PLAN,
    b"network": Kind.NETWORK,
    b"progress": Kind.PROGRESS,
}
_MODEL = b"\x08"  # the tag of the field ir_version, with which a model begins
_FIRST_FIELDS = 32  # bytes, in which the producer stands
_VERSION = f"{PREFIX}version".encode()
# Samples are npz, npy, PNG or JPEG.
_MAGIC = {
    b"PK": Kind.SAMPLES,
    b"\x93NUMPY": Kind.SAMPLES,
    b"\x89PNG": Kind.SAMPLES,
    b"\xff\xd8": Kind.SAMPLES,
}


def named(path: Path) -> Path:
    """A path, if it can be that of a file. Raises OutputError."""
    if not path.name:
        raise OutputError(f"{path} has no name: give the name of a file")
    return path


def check_outputs(inputs: Iterable[Path], outputs: Mapping[str, tuple[Path, Kind]]) -> None:
    """Refuses to destroy what a command reads or what another wrote; `outputs` has what a person calls each, its path and kind.

    Links and different spellings of a path are seen through. Raises OutputError, before anything is computed, also where one of
    the outputs could not be written.
    """
    read = list(inputs)
    for (one, (path, _)), (two, (other, _)) in combinations(outputs.items(), 2):
        if _same(path, other):
            raise OutputError(f"{one} and {two} would both be written to {path}: choose names that differ before the ending")
    for what, (path, kind) in outputs.items():
        if any(_same(path, other) for other in read):
            raise OutputError(f"{what} would overwrite {path}, which this command reads: choose another name")
        there = _kind_of(path)
        if there not in (None, kind):
            raise OutputError(f"{what} would overwrite {path}, which holds {there.value}: choose another name or remove it")
        check_writable(path)


def check_folder(path: Path) -> None:
    """Raises OutputError where a command could not write into a folder, before anything is computed."""
    check_folder_writable(path)


def _same(one: Path, two: Path) -> bool:
    try:
        return one.samefile(two)
    except OSError:  # one of them is not there yet
        return one.resolve() == two.resolve()


def _kind_of(path: Path) -> Kind | None:
    """What an existing file is known to hold; None where it is missing or damaged, or cannot be read, which writing will tell."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return None
    if head.lstrip()[:1] == b"{":
        named = _FORMAT.search(head)
        return _KINDS.get(named[1], Kind.OTHER) if named else None
    if head.startswith(b"PK") and head[_FIRST_NAME:].startswith(b"head.json"):
        return Kind.MOMENTS
    if head.startswith(_MODEL):
        return _kind_of_model(path, head)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def _kind_of_model(path: Path, head: bytes) -> Kind:
    """An integer model tells its version in its metadata, the others that qconv makes name their producer."""
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        if data.find(_VERSION) >= 0:
            return Kind.INTEGER
    ours = b"\x12" + bytes([len(PRODUCER)]) + PRODUCER.encode() in head[:_FIRST_FIELDS]
    return Kind.QDQ if ours else Kind.MODEL
