"""The file of second moments that lies beside a calibration: a zip of arrays as numpy writes them, equal bytes for equal sums.

head.json        format, and for each layer what it sees, the exponent of its steps, rows, and elements that were cut
0.total.npy      int64 [G, K]
0.gram.npy       int64 [G, K (K + 1) / 2], the upper triangles, row by row
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from qconv.errors import ArtifactError
from qconv.statistics.second_moments import Int64Array, SecondMoments

FORMAT = "qconv-moments-1"
Table = Mapping[str, SecondMoments]  # by what a layer sees (Layer.sight)
_AGAIN = "run `qconv calibrate --moments` again"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same in every file


def moments_beside(calibration: Path) -> Path:
    """Where the moments of a calibration file lie: m.moments.npz beside m.calib.json."""
    return calibration.with_name(calibration.name.removesuffix(".json").removesuffix(".calib") + ".moments.npz")


def digest_of(table: Table) -> str:
    """The SHA-256 of what a file of these moments tells, in hex."""
    found = hashlib.sha256(_head(table).encode())
    for sight in sorted(table):
        moments = table[sight]
        found.update(moments.total.tobytes())
        found.update(_triangles(moments.gram).tobytes())
    return found.hexdigest()


def write_moments(table: Table, stream: IO[bytes]) -> None:
    """Writes a file, one layer after the other."""
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("head.json", _DATE), _head(table))
        for number, sight in enumerate(sorted(table)):
            moments = table[sight]
            for name, array in (("total", moments.total), ("gram", _triangles(moments.gram))):
                with archive.open(zipfile.ZipInfo(f"{number}.{name}.npy", _DATE), "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.ascontiguousarray(array, "<i8"), (1, 0), allow_pickle=False)


class StoredMoments(Mapping[str, SecondMoments]):
    """The moments in a file; each layer is read when it is asked for."""

    def __init__(self, source: Path | IO[bytes], where: str) -> None:
        """Raises ArtifactError for what is no file of moments, naming `where` it was read."""
        self._source, self._where = source, where
        try:
            with zipfile.ZipFile(source) as archive:
                head = json.loads(archive.read("head.json"))
            if head["format"] != FORMAT:
                raise ValueError(f"format {head['format']!r}")
            self._layers = {str(sight): (number, *map(int, sums)) for number, (sight, *sums) in enumerate(head["layers"])}
        except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile, RecursionError) as error:
            raise self._damaged(error) from None

    def __getitem__(self, sight: str) -> SecondMoments:
        number, exponent, count, cut = self._layers[sight]
        try:
            with zipfile.ZipFile(self._source) as archive:
                total, triangles = (self._array(archive, f"{number}.{name}.npy") for name in ("total", "gram"))
            return SecondMoments(exponent, count, cut, total, _whole(triangles, total.shape[1]))
        except (OSError, KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise self._damaged(error) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def _array(self, archive: zipfile.ZipFile, name: str) -> Int64Array:
        with archive.open(name) as entry:
            array: Any = np.lib.format.read_array(entry, allow_pickle=False)
        if array.dtype != np.int64 or array.ndim != 2:
            raise ValueError(f"{name} is no table of whole numbers")
        return np.asarray(array)

    def _damaged(self, error: Exception) -> ArtifactError:
        return ArtifactError(f"the second moments {self._where} are damaged ({type(error).__name__}: {error}); {_AGAIN}")


def _head(table: Table) -> str:
    layers = [[sight, moments.exponent, moments.count, moments.cut] for sight, moments in sorted(table.items())]
    return json.dumps({"format": FORMAT, "layers": layers}, ensure_ascii=False)


def _triangles(gram: Int64Array) -> Int64Array:
    return np.asarray(gram[:, np.triu(np.ones(gram.shape[1:], bool))])


def _whole(triangles: Int64Array, columns: int) -> Int64Array:
    upper = np.triu(np.ones((columns, columns), bool))
    gram = np.zeros((len(triangles), columns, columns), np.int64)
    for whole, part in zip(gram, triangles, strict=True):
        whole[upper] = part
        whole.T[upper] = part
    return gram
