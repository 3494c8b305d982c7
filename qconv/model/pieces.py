"""Tensors of a graph in lists that are small enough to be fetched together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx_ir as ir

LARGEST_PIECE = 32 << 20  # bytes


def pieces(values: Iterable[ir.Value], limit: int = LARGEST_PIECE) -> Iterator[list[ir.Value]]:
    """The values in their order, in lists of at most `limit` bytes each, or of a single value that is larger.

    An unknown size of axis 0 counts as 1, as samples come one by one; a tensor whose other sizes are unknown counts as a
    sixteenth of the limit.
    """
    piece: list[ir.Value] = []
    filled = 0
    for value in values:
        nbytes = _nbytes(value, limit // 16)
        if piece and filled + nbytes > limit:
            yield piece
            piece, filled = [], 0
        piece.append(value)
        filled += nbytes
    if piece:
        yield piece


def _nbytes(value: ir.Value, unknown: int) -> int:
    if value.dtype is None or value.shape is None:
        return unknown
    samples = value.shape[:1] if len(value.shape) > 1 else ()
    sizes = [size if isinstance(size, int) else 1 for size in samples] + list(value.shape[len(samples) :])
    known = [size for size in sizes if isinstance(size, int)]
    return math.ceil(value.dtype.itemsize * math.prod(known)) if len(known) == len(sizes) else unknown
