"""Classes of samples, from a labels.csv or from the names of folders."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qconv.errors import DataError
from qconv.model.near_paths import unreadable

_DIGITS = 9  # of the number of a class
_ROOM = 60  # characters of a row in a message


@dataclass(frozen=True)
class Labels:
    """Key of a sample -> class: the key is the path of its file within the folder, or its index within an .npz."""

    classes: Mapping[str, int]

    def get(self, key: str, otherwise: int | None = None) -> int | None:
        """The class, or `otherwise` where the file has none."""
        return self.classes.get(key, otherwise)

    @classmethod
    def of_folders(cls, files: Iterable[Path], folder: Path) -> Labels:
        """A class for each folder within `folder`, in the order of their names. Raises DataError for files beside the folders."""
        places = [path.relative_to(folder) for path in files]
        if alone := [place for place in places if len(place.parts) < 2]:
            raise DataError(f"{folder / alone[0]} lies in no folder of a class; take it away, or give a file of labels")
        order = {name: index for index, name in enumerate(sorted({place.parts[0] for place in places}))}
        return cls({place.as_posix(): order[place.parts[0]] for place in places})

    @classmethod
    def read(cls, path: Path) -> Labels:
        """Reads the columns `file` and `class`, or the two columns of a file without those names. Raises DataError."""
        try:
            if path.exists() and not path.is_file():
                raise OSError("it is a folder, a pipe or a device")
            with path.open(newline="", encoding="utf-8-sig") as stream:
                rows = [row for row in csv.reader(stream) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(unreadable("file of labels", path, error, "give a CSV file of the columns file and class")) from None
        return cls(_classes(rows, path))


def _classes(rows: list[list[str]], path: Path) -> dict[str, int]:
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = "file" in header and "class" in header
    file, label = (header.index("file"), header.index("class")) if named else (0, 1)
    classes = {}
    for number, row in enumerate(rows[1:] if named else rows, 2 if named else 1):
        if len(row) <= max(file, label) or not _is_class(row[label].strip()):
            raise DataError(f"row {number} of {path} is {_shown(row)}; give a file and the number of its class")
        classes[row[file].strip()] = int(row[label])
    return classes


def _is_class(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS


def _shown(row: list[str]) -> str:
    """A row as far as a message has room for it."""
    text = ",".join(row)
    return repr(text if len(text) <= _ROOM else f"{text[:_ROOM]}...")
