"""What an operator that only moves elements does, as a view with strides: found by moving the places themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """out[i, j, ...] = in[offset + i s_i + j s_j + ...] over `sizes`, whose product is the number of elements of the output."""

    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


def view_of(places: Places) -> View | None:
    """The view whose elements lie at `places` of the input, [output shape]; None where strides cannot say it.

    An axis may fall apart into two or more, as those of DepthToSpace and of a Resize to a whole multiple do.
    """
    if places.size == 0:
        return None
    first = int(places.reshape(-1)[0])
    sizes: list[int] = []
    strides: list[int] = []
    for axis, size in enumerate(places.shape):
        line = np.moveaxis(places, axis, 0).reshape(size, -1)[:, 0] - first
        parts = _parts(line)
        if parts is None:
            return None
        sizes += [part[0] for part in parts]
        strides += [part[1] for part in parts]
    view = View(first, *_merged(sizes, strides))
    return view if np.array_equal(elements(view), places.reshape(-1)) else None


def elements(view: View) -> Places:
    """The places that a view reads, in order."""
    places = np.asarray(view.offset, np.int64)
    for size, stride in zip(view.sizes, view.strides, strict=True):
        places = np.asarray(places[..., None] + np.arange(size) * stride)
    return places.reshape(-1)


def _parts(line: Places) -> list[tuple[int, int]] | None:
    """An axis as (size, stride) from the outermost: even steps within blocks of even steps."""
    size = len(line)
    if size == 1:
        return [(1, 0)]
    step = int(line[1] - line[0])
    run = 1
    while run < size and line[run] - line[run - 1] == step:
        run += 1
    if run == size:
        return [(size, step)]
    for inner in range(run, 1, -1):
        if size % inner == 0:
            outer = _parts(line[::inner])
            block = line[:inner] - line[0]
            if outer is not None and np.array_equal(line.reshape(-1, inner), line[::inner][:, None] + block):
                return [*outer, (inner, step)]
    return None


def _merged(sizes: list[int], strides: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same view with as few axes as possible."""
    merged: list[tuple[int, int]] = []
    for size, stride in zip(sizes, strides, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == stride * size:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return tuple(size for size, _ in merged), tuple(stride for _, stride in merged)
