"""Long lists of numbers in metadata as text of a third of the length: a kind, a colon, and the bytes in base64.

f4      float32
k1      multiples S k of one float32 S, which stands in front: a byte m + 8 e for each k = (8 + m) / 8 2^-e
k6      the same where all e are below 8: behind S how many there are, in two bytes, and a number of 6 bits, one letter, for each
i1      one byte, signed
m3      mantissas m0 of float32 numbers, whose lowest 7 bits are zero, as 3 bytes of m0 / 128
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LONG = 8
_SHIFT = 7
_LETTER = 6  # bits of a letter of base64
_FACTORS = np.ldexp(1.0 + np.arange(256) % 8 / 8.0, -(np.arange(256) // 8)).astype(np.float32)


def packed(numbers: Any, kind: str) -> Any:
    """A list of more than eight numbers as text, anything else as it is."""
    if not isinstance(numbers, Sequence) or len(numbers) <= _LONG or not _fits(numbers, kind):
        return numbers
    if kind == "m3":
        data = (np.asarray(numbers, np.int64) >> _SHIFT).astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    elif kind == "f4" and (multiples := _multiples(np.asarray(numbers, np.float32))) is not None:
        kind, data = multiples
    else:
        data = np.asarray(numbers, f"<{kind}").tobytes()
    return f"{kind}:{base64.b64encode(data).decode()}"


def unpacked(entry: Any) -> Any:
    """The inverse of `packed`. Raises ValueError for other text."""
    if not isinstance(entry, str):
        return entry
    kind, _, text = entry.partition(":")
    data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if kind == "m3":
        return (np.pad(data.reshape(-1, 3), [(0, 0), (0, 1)]).view("<u4").reshape(-1).astype(np.int64) << _SHIFT).tolist()
    if kind in ("k1", "k6"):
        places = data[4:] if kind == "k1" else _of_six_bits(data[6:], int(data[4:6].view("<u2")[0]))
        return (np.frombuffer(data[:4].tobytes(), "<f4") * _FACTORS[places]).tolist()
    if kind not in ("f4", "i1"):
        raise ValueError(f"numbers are packed as {kind!r}, which is unknown")
    return np.frombuffer(data.tobytes(), f"<{kind}").tolist()


def _multiples(values: NDArray[np.float32]) -> tuple[str, bytes] | None:
    """The kind, and S and all k as bytes; None where the numbers are no such multiples."""
    largest = values.max()
    for whole in (largest / _FACTORS[:8]).view(np.int32)[:, None] + np.asarray([0, -1, 1], np.int32):
        for scale in whole.view(np.float32):
            places = np.abs(np.log2(np.maximum(values, 1e-38) / scale)[:, None] - np.log2(_FACTORS)).argmin(axis=1)
            if np.array_equal(scale * _FACTORS[places], values):
                head, codes = np.asarray(scale, "<f4").tobytes(), places.astype(np.uint8)
                if codes.max() >= 1 << _LETTER or len(codes) >= 1 << 16:
                    return "k1", head + codes.tobytes()
                return "k6", head + np.asarray(len(codes), "<u2").tobytes() + _in_six_bits(codes)
    return None


def _in_six_bits(codes: NDArray[np.uint8]) -> bytes:
    """Numbers below 64, four in three bytes."""
    return np.packbits(np.unpackbits(codes[:, None], axis=1)[:, 8 - _LETTER :]).tobytes()


def _of_six_bits(data: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    bits = np.unpackbits(data)[: count * _LETTER].reshape(count, _LETTER)
    return np.packbits(np.pad(bits, [(0, 0), (8 - _LETTER, 0)]), axis=1).reshape(-1)


def _fits(numbers: Sequence[Any], kind: str) -> bool:
    values = np.asarray(numbers)
    if kind == "m3":
        return bool((values % (1 << _SHIFT) == 0).all() and (values >= 0).all() and (values < 1 << 31).all())
    return kind != "i1" or bool((np.abs(values) < 128).all())
