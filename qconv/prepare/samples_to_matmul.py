"""Write operators that are linear for constant parameters as products with constant matrices.

GridSample, constant grid       y [N, C, P] = x [N, C, H W] M       the same grid for all samples; nearest, linear or cubic
RoiAlign, constant boxes        the same, for the means over boxes of one picture
DFT of reals                    y [..., K, 2] = x [..., L] M        along the last axis but one, of a known length
AffineGrid                      grid [N, P, 2] = B theta'           B the grid of the identity with ones beside it

The matrices are what the operators themselves make of unit vectors.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.evaluate import run_float_node
from qconv.model.formula import Formula, Steps, rewrite_by
from qconv.model.graph import attr_int, attr_str, const_array

_LARGEST = 1 << 22  # elements of a matrix; more would be larger than most networks
_Array = NDArray[np.float32]


def samples_to_matmul(model: ir.Model) -> int:
    """Rewrite every one whose sizes are known; returns their number."""
    return rewrite_by(_RULES, model)


def _known(x: ir.Value, first: int = 0) -> list[int] | None:
    """The sizes of a tensor from an axis on, or None where one is not known."""
    sizes = list(x.shape or ())[first:]
    known = [size for size in sizes if isinstance(size, int)]
    return known if len(known) == len(sizes) and all(known) else None


def _units(size: int, kernel: list[int]) -> _Array:
    """A picture [1, size, *kernel] with one element that is 1 in each channel."""
    return np.eye(size, dtype=np.float32).reshape(1, size, *kernel)


def _grid_sample(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    grid, sizes = _grid_of_all(node.inputs[1]), _known(x, 1)
    if grid is None or sizes is None or x.shape is None or not grid.size or (grid[1:] != grid[:1]).any():
        return 0
    channels, *kernel = sizes
    places, out = math.prod(kernel), list(grid.shape[1:-1])
    if places * math.prod(out) > _LARGEST:
        return 0
    matrix = run_float_node(node, [_units(places, kernel), grid[:1].astype(np.float32)])[0].reshape(places, -1)
    batch = x.shape[0]
    number = batch if isinstance(batch, int) else -1
    flat = steps("Reshape", x, steps.constant([number, channels, places], np.int64), shape=[batch, channels, places])
    product = steps("MatMul", flat, steps.constant(matrix), shape=[batch, channels, math.prod(out)])
    return steps.last("Reshape", product, steps.constant([number, channels, *out], np.int64))


def _grid_of_all(value: ir.Value | None) -> NDArray[np.generic] | None:
    """A constant grid; one for all samples may be repeated for each of them."""
    maker = None if value is None else value.producer()
    if value is None or maker is None or maker.op_type != "Expand":
        return const_array(value)
    grid = const_array(maker.inputs[0])
    alike = grid is not None and value.shape is not None and list(value.shape[1:]) == list(grid.shape[1:])
    return grid if alike and grid is not None and len(grid) == 1 else None


def _roi_align(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    boxes, pictures, sizes = const_array(node.inputs[1]), const_array(node.inputs[2]), _known(x)
    if boxes is None or pictures is None or sizes is None or sizes[0] != 1 or attr_str(node, "mode", "avg") != "avg":
        return 0
    channels, *kernel = sizes[1:]
    places = math.prod(kernel)
    found = run_float_node(node, [_units(places, kernel), boxes, pictures])[0]  # [boxes, places, height, width]
    if found.size > _LARGEST:
        return 0
    matrix = np.moveaxis(found, 1, 0).reshape(places, -1)
    count, height, width = found.shape[0], found.shape[2], found.shape[3]
    flat = steps("Reshape", x, steps.constant([channels, places], np.int64), shape=[channels, places])
    product = steps("MatMul", flat, steps.constant(matrix), shape=[channels, matrix.shape[1]])
    target = [channels, count, height, width]
    apart = steps("Reshape", product, steps.constant(target, np.int64), shape=target)
    return steps.last("Transpose", apart, perm=[1, 0, 2, 3])


def _fourier(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """The transform of reals, [..., L, 1]."""
    assert x.shape is not None
    length = const_array(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    axis = const_array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.asarray(-2)
    rank, size = len(x.shape), x.shape[-2] if len(x.shape) > 1 else None
    last = axis is not None and int(axis.reshape(())) % rank == rank - 2
    if not last or not isinstance(size, int) or x.shape[-1] != 1 or attr_int(node, "inverse", 0) or size > 2048:
        return 0
    points = size if length is None else int(length.reshape(()))
    if len(node.inputs) > 1 and node.inputs[1] is not None and length is None:
        return 0
    angles = 2 * np.pi * np.outer(np.arange(size), np.arange(points)) / points
    if points < size:
        return 0
    kept = points // 2 + 1 if attr_int(node, "onesided", 0) else points
    matrix = np.stack([np.cos(angles), -np.sin(angles)], axis=2)[:, :kept].reshape(size, -1)
    lead = [d if isinstance(d, int) else None for d in x.shape[:-2]]
    if lead.count(None) > 1:
        return 0
    target = [-1 if d is None else d for d in lead]
    flat = steps("Reshape", x, steps.constant([*target, size], np.int64), shape=[*lead, size])
    product = steps("MatMul", flat, steps.constant(matrix), shape=[*lead, 2 * kept])
    return steps.last("Reshape", product, steps.constant([*target, kept, 2], np.int64))


def _affine_grid(node: ir.Node, theta: ir.Value, steps: Steps) -> int:
    """theta [N, 2, 3] or [N, 3, 4]."""
    size = const_array(node.inputs[1])
    if size is None or theta.shape is None:
        return 0
    axes, batch = len(size) - 2, theta.shape[0]
    identity = np.eye(axes, axes + 1, dtype=np.float32)[None]
    one = np.asarray([1, *size[1:]], np.int64)
    grid = run_float_node(node, [identity, one])[0].reshape(-1, axes)
    base = np.concatenate([grid, np.ones((len(grid), 1), np.float32)], axis=1)
    turned = steps("Transpose", theta, shape=[batch, axes + 1, axes], perm=[0, 2, 1])
    product = steps("MatMul", steps.constant(base), turned, shape=[batch, len(grid), axes])
    number = batch if isinstance(batch, int) else -1
    return steps.last("Reshape", product, steps.constant([number, *size[2:], axes], np.int64))


_RULES: dict[str, Formula] = {
    "GridSample": _grid_sample,
    "RoiAlign": _roi_align,
    "DFT": _fourier,
    "AffineGrid": _affine_grid,
}
