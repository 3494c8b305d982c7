"""Steps of a random graph: functions with a domain, spectra, boxes, ranges, sequences, branches, and parts of unlike size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper

from .growing import Attribute, Growing


def _last(g: Growing) -> str:
    return next(reversed(g.shapes))


def _ints(g: Growing, *numbers: int) -> str:
    return g.constant(np.asarray(numbers, np.int64))


def _real(g: Growing, number: float) -> str:
    return g.constant(np.asarray(number, np.float32))


def _hidden(g: Growing, op: str, inputs: list[str], **attributes: Attribute) -> str:
    """A node whose output others may not pick."""
    name = f"t{len(g.nodes)}"
    g.nodes.append(helper.make_node(op, inputs, [name], name=f"n{len(g.nodes)}_{op}", **attributes))  # type: ignore[arg-type]
    return name


def angle(g: Growing) -> None:
    """The inverse functions of angles, within their domains, and the tangent."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape, op = g.shapes[x], str(g.rng.choice(["Acos", "Asin", "Atanh", "Acosh", "Tan"]))
    if op == "Acosh":
        g.add("Abs", [x], shape)
        g.add("Add", [_last(g), _real(g, 1 + 10.0 ** g.rng.uniform(-3, 1))], shape)
    elif op == "Tan":
        g.add("Mul", [x, _real(g, g.rng.uniform(0.1, 0.5))], shape)
    else:
        g.add("Tanh", [x], shape)
        g.add("Mul", [_last(g), _real(g, g.rng.uniform(0.3, 0.99))], shape)
    g.add(op, [_last(g)], shape)


def spectrum(g: Growing) -> None:
    """The magnitudes of a Fourier transform along the last axis, of half of it: the other half is equal but for rounding."""
    if (x := g.pick(2, 3)) is None:
        return
    shape = g.shapes[x]
    real = _hidden(g, "Unsqueeze", [x, _ints(g, -1)])
    complex_ = _hidden(g, "DFT", [real, "", g.constant(np.asarray(len(shape) - 1, np.int64))], onesided=1)
    g.add("ReduceL2", [complex_, _ints(g, -1)], (*shape[:-1], shape[-1] // 2 + 1), {"keepdims": 0})


def boxes(g: Growing) -> None:
    """Boxes that are not suppressed: how many, as a real, beside the network that gives them."""
    if (x := g.pick(3)) is None:
        return
    _, rows, width = g.shapes[x]
    corners = _hidden(g, "MatMul", [x, g.weight(width, 4)])
    scores = _hidden(g, "Transpose", [_hidden(g, "MatMul", [x, g.weight(width, 2)])], perm=[0, 2, 1])
    most, overlap, least = g.constant(np.asarray([rows], np.int64)), _real(g, 0.5), _real(g, 0.0)
    chosen = _hidden(g, "NonMaxSuppression", [corners, scores, most, overlap, least])
    places = _hidden(g, "Cast", [chosen], to=TensorProto.FLOAT)
    g.add("ReduceSum", [places, _ints(g, 0)], (1, 3), {"keepdims": 1})


def numbers_in_order(g: Growing) -> None:
    """A Range of constants, or up to a size of the tensor, added to it."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    if g.rng.random() < 0.5:
        step = float(g.rng.uniform(0.1, 2))
        row = _hidden(g, "Range", [_real(g, 0), _real(g, step * (shape[-1] - 0.5)), _real(g, step)])
    else:
        sizes = _hidden(g, "Shape", [x])
        size = _hidden(g, "Gather", [sizes, g.constant(np.asarray(len(shape) - 1, np.int64))])
        whole = _hidden(g, "Range", [g.constant(np.asarray(n, np.int64)) if n != "size" else size for n in (0, "size", 1)])
        row = _hidden(g, "Cast", [whole], to=TensorProto.FLOAT)
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
            pair = _hidden(g, "SequenceConstruct", [x, other])
            g.add("ConcatFromSequence", [pair], (*shape[:-1], 2 * shape[-1]), {"axis": axis})
        case 1 if shape[-1] > 1 and shape[-1] % 2 == 0:
            parts = _hidden(g, "SplitToSequence", [x, g.constant(np.asarray(shape[-1] // 2, np.int64))], axis=axis)
            g.add("SequenceAt", [parts, place], (*shape[:-1], shape[-1] // 2))
        case _:
            first = _hidden(g, "SequenceConstruct", [x])
            both = _hidden(g, "SequenceInsert", [first, x])
            g.add("SequenceAt", [both, place], shape)


def twins(g: Growing) -> None:
    """One weight in two branches over a tensor and what was made of it, which meet again."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    g.add(str(g.rng.choice(["Relu", "Tanh", "Neg", "HardSwish"])), [x], shape)
    other, joins = _last(g), str(g.rng.choice(["Add", "Sub", "Mul", "Concat", "Max"]))
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
    return _last(g)


def unlike_parts(g: Growing) -> None:
    """A tensor joined with a much larger or smaller form of itself, moved, and taken apart again."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    g.add("Mul", [x, _real(g, 10.0 ** g.rng.uniform(-4, 4))], shape)
    joined = _hidden(g, "Concat", [x, _last(g)], axis=1)
    size = (shape[0], 2, *shape[1:])
    moved = _hidden(g, "Reshape", [joined, _ints(g, *size)])
    if g.rng.random() < 0.5:
        turned = _hidden(g, "Transpose", [moved], perm=[0, *range(2, len(size)), 1])
        for place in (0, 1):
            g.add("Gather", [turned, g.constant(np.asarray(place, np.int64))], shape, {"axis": len(size) - 1})
        return
    ends = [_ints(g, *numbers) for numbers in ((0,), (1,), (2,), (1,))]
    for first, last in ((0, 1), (1, 2)):
        part = _hidden(g, "Slice", [moved, ends[first], ends[last], ends[3]])
        g.add("Squeeze", [part, ends[3]], shape)


LATER_STEPS: tuple[Callable[[Growing], None], ...] = (
    angle, angle, spectrum, boxes, numbers_in_order, sequence, twins, twins, unlike_parts,
)  # fmt: skip
