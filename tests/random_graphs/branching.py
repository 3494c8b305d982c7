"""Steps of a random graph: functions with a domain, spectra, boxes, ranges, sequences, branches, and parts of unlike size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from .growing import Attribute, Growing


def angle(g: Growing) -> None:
    """The inverse functions of angles, within their domains, and the tangent."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape, op = g.shapes[x], str(g.rng.choice(["Acos", "Asin", "Atanh", "Acosh", "Tan"]))
    if op == "Acosh":
        g.add("Abs", [x], shape)
        g.add("Add", [g.last, g.real(1 + 10.0 ** g.rng.uniform(-3, 1))], shape)
    elif op == "Tan":
        g.add("Mul", [x, g.real(g.rng.uniform(0.1, 0.5))], shape)
    else:
        g.add("Tanh", [x], shape)
        g.add("Mul", [g.last, g.real(g.rng.uniform(0.3, 0.99))], shape)
    g.add(op, [g.last], shape)


def spectrum(g: Growing) -> None:
    """The magnitudes of a Fourier transform along the last axis, of half of it: the other half is equal but for rounding."""
    if (x := g.pick(2, 3)) is None:
        return
    shape = g.shapes[x]
    real = g.hidden("Unsqueeze", [x, g.ints(-1)])
    complex_ = g.hidden("DFT", [real, "", g.constant(np.asarray(len(shape) - 1, np.int64))], onesided=1)
    g.add("ReduceL2", [complex_, g.ints(-1)], (*shape[:-1], shape[-1] // 2 + 1), {"keepdims": 0})


def boxes(g: Growing) -> None:
    """Boxes that are not suppressed: how many, as a real, beside the network that gives them."""
    if (x := g.pick(3)) is None:
        return
    _, rows, width = g.shapes[x]
    corners = g.hidden("MatMul", [x, g.weight(width, 4)])
    scores = g.hidden("Transpose", [g.hidden("MatMul", [x, g.weight(width, 2)])], perm=[0, 2, 1])
    most, overlap, least = g.constant(np.asarray([rows], np.int64)), g.real(0.5), g.real(0.0)
    chosen = g.hidden("NonMaxSuppression", [corners, scores, most, overlap, least])
    places = g.hidden("Cast", [chosen], to=TensorProto.FLOAT)
    g.add("ReduceSum", [places, g.ints(0)], (1, 3), {"keepdims": 1})


def numbers_in_order(g: Growing) -> None:
    """A Range of constants, or up to a size of the tensor, added to it."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    if g.rng.random() < 0.5:
        step = float(g.rng.uniform(0.1, 2))
        row = g.hidden("Range", [g.real(0), g.real(step * (shape[-1] - 0.5)), g.real(step)])
    else:
        sizes = g.hidden("Shape", [x])
        size = g.hidden("Gather", [sizes, g.constant(np.asarray(len(shape) - 1, np.int64))])
        whole = g.hidden("Range", [g.constant(np.asarray(n, np.int64)) if n != "size" else size for n in (0, "size", 1)])
        row = g.hidden("Cast", [whole], to=TensorProto.FLOAT)
    g.add(str(g.rng.choice(["Add", "Mul"])), [x, row], shape)


def sequence(g: Growing) -> None:
    """A sequence of tensors, of which one is taken or all are joined."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    axis, place = len(shape) - 1, g.constant(np.asarray(int(g.rng.integers(0, 2)), np.int64))
    match g.rng.integers(0, 3):
        case 0:
            other = str(g.rng.choice([name for name, found in g.shapes.items() if found == shape]))
            pair = g.hidden("SequenceConstruct", [x, other])
            g.add("ConcatFromSequence", [pair], (*shape[:-1], 2 * shape[-1]), {"axis": axis})
        case 1 if shape[-1] > 1 and shape[-1] % 2 == 0:
            parts = g.hidden("SplitToSequence", [x, g.constant(np.asarray(shape[-1] // 2, np.int64))], axis=axis)
            g.add("SequenceAt", [parts, place], (*shape[:-1], shape[-1] // 2))
        case _:
            first = g.hidden("SequenceConstruct", [x])
            both = g.hidden("SequenceInsert", [first, x])
            g.add("SequenceAt", [both, place], shape)


def twins(g: Growing) -> None:
    """One weight in two branches over a tensor and what was made of it, which meet again."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    g.add(str(g.rng.choice(["Relu", "Tanh", "Neg", "HardSwish"])), [x], shape)
    other, joins = g.last, str(g.rng.choice(["Add", "Sub", "Mul", "Concat", "Max"]))
    if len(shape) == 4:
        weight = g.weight(shape[1], shape[1], 3, 3)
        attributes: dict[str, Attribute] = {"pads": [1] * 4, "kernel_shape": [3, 3]}
        branches = [_branch(g, "Conv", [value, weight], shape, attributes) for value in (x, other)]
    else:
        weight = g.weight(shape[2], shape[2])
        branches = [_branch(g, "MatMul", [value, weight], shape, {}) for value in (x, other)]
    if joins == "Concat":
        g.add(joins, branches, (shape[0], 2 * shape[1], *shape[2:]), {"axis": 1})
    else:
        g.add(joins, branches, shape)


def _branch(g: Growing, op: str, inputs: list[str], shape: tuple[int, ...], attributes: dict[str, Attribute]) -> str:
    g.add(op, inputs, shape, attributes)
    return g.last


def unlike_parts(g: Growing) -> None:
    """A tensor joined with a much larger or smaller form of itself, moved, and taken apart again."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    g.add("Mul", [x, g.real(10.0 ** g.rng.uniform(-4, 4))], shape)
    joined = g.hidden("Concat", [x, g.last], axis=1)
    size = (shape[0], 2, *shape[1:])
    moved = g.hidden("Reshape", [joined, g.ints(*size)])
    if g.rng.random() < 0.5:
        turned = g.hidden("Transpose", [moved], perm=[0, *range(2, len(size)), 1])
        for place in (0, 1):
            g.add("Gather", [turned, g.constant(np.asarray(place, np.int64))], shape, {"axis": len(size) - 1})
        return
    ends = [g.ints(*numbers) for numbers in ((0,), (1,), (2,), (1,))]
    for first, last in ((0, 1), (1, 2)):
        part = g.hidden("Slice", [moved, ends[first], ends[last], ends[3]])
        g.add("Squeeze", [part, ends[3]], shape)


LATER_STEPS: tuple[Callable[[Growing], None], ...] = (
    angle, angle, spectrum, boxes, numbers_in_order, sequence, twins, twins, unlike_parts,
)  # fmt: skip
