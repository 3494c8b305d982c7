"""Classes of samples, from a labels.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qconv.errors import DataError


@dataclass(frozen=True)
class Labels:
    """Key of a sample -> class: the key is the path of its file within the folder, or its index within an .npz."""

    classes: Mapping[str, int]

    def get(self, key: str, otherwise: int | None = None) -> int | None:
        """The class, or `otherwise` where the file has none."""
        return self.classes.get(key, otherwise)

    @classmethod
    def read(cls, path: Path) -> Labels:
        """Reads the columns `file` and `class`, or the two columns of a file without those names. Raises DataError."""
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                rows = [row for row in csv.reader(stream) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"the labels {path} cannot be read ({error}); give a CSV file with the columns file and class"
            ) from None
        return cls(_classes(rows, path))


def _classes(rows: list[list[str]], path: Path) -> dict[str, int]:
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = "file" in header and "class" in header
    file, label = (header.index("file"), header.index("class")) if named else (0, 1)
    classes = {}
    for number, row in enumerate(rows[1:] if named else rows, 2 if named else 1):
        if len(row) <= max(file, label) or not row[label].strip().isdecimal():
            raise DataError(f"row {number} of {path} is {','.join(row)!r}; give a file and the number of its class")
        classes[row[file].strip()] = int(row[label])
    return classes
