"""Rows of an .npy stream, read one after the other: never the whole array, never a pickle."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from qconv.errors import DataError
from qconv.model.session import reason

_ADDRESS = re.compile(r":? ?<ast[^>]*>")  # of an object of Python, which a person cannot use

# What reading from a damaged file or zip member raises.
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class NpyRows:
    """An array in .npy format behind `stream`, which holds `size` bytes; `where` names it in messages.

    Raises DataError for pickles, Fortran order, damaged headers, and shapes that promise more than `size` bytes.
    """

    def __init__(self, stream: IO[bytes], size: int, where: str) -> None:
        self._stream, self._where = stream, where
        self.shape, self.dtype = _read_header(stream, where)
        if math.prod(self.shape) * self.dtype.itemsize > size - stream.tell():
            raise DataError(f"{where} has only {size} bytes for shape {self.shape} of {self.dtype}; write the file anew")

    def read(self, rows: int | None) -> NDArray[Any]:
        """The next `rows` rows, or the whole array for None. Raises DataError when the data end early."""
        shape = self.shape if rows is None else (rows, *self.shape[1:])
        wanted = math.prod(shape) * self.dtype.itemsize
        try:
            data = self._stream.read(wanted)
        except READ_ERRORS as error:
            raise DataError(f"{self._where} cannot be read ({reason(error)}); write the file anew") from None
        if len(data) != wanted:
            raise DataError(f"{self._where} ends before its last row; write the file anew")
        return np.frombuffer(data, self.dtype).reshape(shape)


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = npy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format is for structured arrays")
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except (*READ_ERRORS, SyntaxError, TypeError, OverflowError, RecursionError, MemoryError, TokenError) as error:
        said = _ADDRESS.sub("", reason(error))
        raise DataError(f"{where} is not a readable .npy array ({said}); write it with numpy.save") from None
    if dtype.hasobject or dtype.names or dtype.kind not in "biuf":
        raise DataError(f"{where} holds {dtype}, which is never loaded from a file; save plain numbers")
    if fortran and len(shape) > 1:
        raise DataError(f"{where} is in Fortran order and cannot be read row by row; save numpy.ascontiguousarray of it")
    if any(size < 0 for size in shape):
        raise DataError(f"{where} has a negative size in its shape {shape}; write the file anew")
    return shape, dtype
