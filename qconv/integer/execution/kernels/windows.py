"""Sliding windows over the spatial axes of a tensor [N, C, *S]: the geometry that convolutions and pools share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qconv.integer.execution.arrays import Array
from qconv.integer.geometry import Geometry

_ALL = (slice(None), slice(None))  # samples and channels


@dataclass(frozen=True)
class Window:
    """A window's geometry, one entry for each spatial axis; `after` is enough for the last window to be whole."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """How far one window reaches along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @classmethod
    def of(cls, geometry: Geometry, kernel: Sequence[int], spatial: Sequence[int], *, pool: bool = False) -> Window:
        """The window of a Conv, or of a pool, over a map of size `spatial`.

        Raises ValueError where the window does not fit in the padded map.
        """
        rank = len(spatial)
        strides = tuple(geometry.integers("strides", (1,) * rank))
        dilations = tuple(geometry.integers("dilations", (1,) * rank))
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        # onnxruntime's pools work out auto_pad from the undilated kernel, and let it become negative
        pads = _pads(geometry, spatial, strides, list(kernel) if pool else extents, pool)
        ceil_mode = bool(geometry.integer("ceil_mode", 0))
        before, after, output = [], [], []
        for size, stride, extent, (begin, end) in zip(spatial, strides, extents, pads, strict=True):
            count = _output_size(size, stride, extent, begin, end, ceil_mode)
            before.append(begin)
            after.append(max(end, (count - 1) * stride + extent - size - begin))
            output.append(count)
        return cls(tuple(kernel), strides, dilations, tuple(before), tuple(after), tuple(output))

    def pad(self, x: Array, fill: float) -> Array:
        """`x` [N, C, *S] with its spatial axes padded, or cut where a pad is negative; no copy where there is nothing to pad."""
        inner = [slice(max(-b, 0), size) for b, size in zip(self.before, x.shape[2:], strict=True)]
        x = x[(*_ALL, *inner)]
        widths = [(max(b, 0), max(a, 0)) for b, a in zip(self.before, self.after, strict=True)]
        if not any(b or a for b, a in widths):
            return x
        spatial = [b + size + a for (b, a), size in zip(widths, x.shape[2:], strict=True)]
        padded = np.full((*x.shape[:2], *spatial), fill, x.dtype)
        inside = [slice(b, b + size) for (b, _), size in zip(widths, x.shape[2:], strict=True)]
        padded[(*_ALL, *inside)] = x
        return padded

    def tap(self, padded: Array, position: Sequence[int]) -> Array:
        """The view [N, C, *output] of what each window holds at `position` of the kernel."""
        starts = [k * dilation for k, dilation in zip(position, self.dilations, strict=True)]
        spans = [(count - 1) * stride + 1 for count, stride in zip(self.output, self.strides, strict=True)]
        slices = [slice(start, start + span, stride) for start, span, stride in zip(starts, spans, self.strides, strict=True)]
        return padded[(*_ALL, *slices)]

    def windows(self, padded: Array) -> Array:
        """The view [N, C, *output, *kernel] of all windows of a padded map."""
        rank = len(self.kernel)
        view = np.lib.stride_tricks.sliding_window_view(padded, self.extent, axis=tuple(range(2, 2 + rank)))
        starts = [slice(0, (count - 1) * stride + 1, stride) for count, stride in zip(self.output, self.strides, strict=True)]
        taps = [slice(None, None, dilation) for dilation in self.dilations]
        view = view[(*_ALL, *starts, *taps)]
        assert view.shape[2 : 2 + rank] == self.output
        return np.asarray(view)


def _pads(
    geometry: Geometry, spatial: Sequence[int], strides: Sequence[int], reaches: Sequence[int], pool: bool
) -> list[tuple[int, int]]:
    rank = len(spatial)
    auto_pad = geometry.text("auto_pad", "NOTSET")
    if auto_pad == "NOTSET":
        pads = geometry.integers("pads", (0,) * (2 * rank))
        return list(zip(pads[:rank], pads[rank:], strict=True))
    if auto_pad == "VALID":
        return [(0, 0)] * rank
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad {auto_pad} is unknown")
    totals = [
        (-(-size // stride) - 1) * stride + reach - size for size, stride, reach in zip(spatial, strides, reaches, strict=True)
    ]
    result = []
    for total in totals:
        total = total if pool else max(total, 0)
        begin = int(total / 2) if auto_pad == "SAME_UPPER" else int((total + 1) / 2)  # truncated toward zero
        result.append((begin, total - begin))
    return result


def _output_size(size: int, stride: int, extent: int, before: int, after: int, ceil_mode: bool) -> int:
    room = size + before + after - extent
    if room < 0:
        raise ValueError(f"a window of {extent} does not fit in {size} + {before} + {after}")
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    # A window that starts beyond the map and its leading pad holds nothing, and is left out.
    return count - 1 if ceil_mode and (count - 1) * stride >= size + before else count
