"""The parts of attention, written with the standard's operators where one node is all of it.

by_heads      [batch, tokens, heads x size] as [batch, heads, tokens, size]
scores        scale q k'
by_tokens     the inverse of by_heads
rotate        [x1 c - x2 s, x2 c + x1 s] of the halves of each head, or of its pairs
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .formula import Steps

Size = int | ir.SymbolicDim | None


def by_heads(steps: Steps, x: ir.Value, heads: int) -> ir.Value:
    """The rows of each head for itself; the width of `x` is known."""
    batch, tokens, width = sizes_of(x)
    size = int(str(width)) // heads
    split = steps("Reshape", x, steps.constant([0, 0, heads, size], np.int64), shape=[batch, tokens, heads, size])
    return steps("Transpose", split, shape=[batch, heads, tokens, size], perm=[0, 2, 1, 3])


def scores(steps: Steps, q: ir.Value, k: ir.Value, scale: float) -> ir.Value:
    """How much each query fits each key: [batch, heads, queries, keys]."""
    batch, heads, keys, size = sizes_of(k)
    turned = steps("Transpose", k, shape=[batch, heads, size, keys], perm=[0, 1, 3, 2])
    product = steps("MatMul", q, turned, shape=[*sizes_of(q)[:3], keys])
    return steps("Mul", product, steps.constant(scale))


def softmax(steps: Steps, x: ir.Value) -> ir.Value:
    """Scores as shares of each query."""
    return steps("Softmax", x, axis=-1)


def shared_out(steps: Steps, shares: ir.Value, v: ir.Value) -> ir.Value:
    """What each query gets of the values: [batch, heads, queries, size]."""
    return steps("MatMul", shares, v, shape=[*sizes_of(shares)[:3], sizes_of(v)[3]])


def by_tokens(steps: Steps, x: ir.Value) -> int:
    """Makes the heads of each token one row, as the last node of the formula; their number and size are known."""
    batch, heads, tokens, size = sizes_of(x)
    rows = steps("Transpose", x, shape=[batch, tokens, heads, size], perm=[0, 2, 1, 3])
    return steps.last("Reshape", rows, steps.constant([0, 0, int(str(heads)) * int(str(size))], np.int64))


def rotate(
    steps: Steps, x: ir.Value, size: int, turned: int, angles: tuple[ir.Value, ir.Value, ir.Value | None], *, pairs: bool
) -> int:  # fmt: skip
    """Turns the first places of each head of `size` places, as the last nodes of the formula.

    x is [batch, heads, tokens, size] or [batch, tokens, heads x size]. `angles` are cosines and sines, [batch, tokens,
    turned / 2], or tables [positions, turned / 2] of them with the position of each token.
    """
    rank, (cosines, sines, places) = len(sizes_of(x)), angles
    batch, tokens = (sizes_of(x)[place] for place in ((0, 2) if rank == 4 else (0, 1)))
    value, width, half = x, sizes_of(x)[-1], turned // 2
    if rank == 3:
        count = int(str(width)) // size
        value = steps("Reshape", x, steps.constant([0, 0, count, size], np.int64), shape=[batch, tokens, count, size])
    many = batch if places is None else sizes_of(places)[0]
    spread = [many, 1, tokens, half] if rank == 4 else [many, tokens, 1, half]
    rows = [t if places is None else steps("Gather", t, places, shape=[many, tokens, half], axis=0) for t in (cosines, sines)]
    axis = steps.constant([1 if rank == 4 else 2], np.int64)
    c, s = (steps("Unsqueeze", row, axis, shape=spread) for row in rows)
    first = value if turned == size else cut_out(steps, value, 3, 0, turned)
    found = (_turn_pairs if pairs else _turn_halves)(steps, first, c, s, half)
    if turned != size:
        found = steps("Concat", found, cut_out(steps, value, 3, turned, size), shape=value.shape, axis=3)
    if rank == 4:
        return steps.last("Identity", found)
    return steps.last("Reshape", found, steps.constant([0, 0, int(str(width))], np.int64))


def cut_out(steps: Steps, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
    """Some places of one axis."""
    shape = [end - start if place == axis else size for place, size in enumerate(sizes_of(x))]
    return steps("Slice", x, *(steps.constant([number], np.int64) for number in (start, end, axis)), shape=shape)


def is_read(node: ir.Node, index: int) -> bool:
    """Whether anything reads an output of a node."""
    output = node.outputs[index] if index < len(node.outputs) else None
    return output is not None and (bool(output.uses()) or output.is_graph_output())


def sizes_of(x: ir.Value) -> list[Size]:
    """The sizes of a tensor of known rank."""
    assert x.shape is not None
    return list(x.shape)


def _turn_halves(steps: Steps, x: ir.Value, c: ir.Value, s: ir.Value, half: int) -> ir.Value:
    left, right = _turned(steps, [cut_out(steps, x, 3, 0, half), cut_out(steps, x, 3, half, 2 * half)], c, s)
    return steps("Concat", left, right, shape=x.shape, axis=3)


def _turn_pairs(steps: Steps, x: ir.Value, c: ir.Value, s: ir.Value, half: int) -> ir.Value:
    shape = [*sizes_of(x)[:3], half, 2]
    pairs = steps("Reshape", x, steps.constant([0, 0, 0, half, 2], np.int64), shape=shape)
    last = steps.constant([4], np.int64)
    parts = [steps("Squeeze", cut_out(steps, pairs, 4, place, place + 1), last, shape=shape[:4]) for place in (0, 1)]
    columns = [steps("Unsqueeze", found, last, shape=[*shape[:4], 1]) for found in _turned(steps, parts, c, s)]
    joined = steps("Concat", *columns, shape=shape, axis=4)
    return steps("Reshape", joined, steps.constant([0, 0, 0, 2 * half], np.int64), shape=x.shape)


def _turned(steps: Steps, x: Sequence[ir.Value], c: ir.Value, s: ir.Value) -> tuple[ir.Value, ir.Value]:
    a, b = x
    left = steps("Sub", steps("Mul", a, c, shape=a.shape), steps("Mul", b, s, shape=a.shape))
    return left, steps("Add", steps("Mul", b, c, shape=a.shape), steps("Mul", a, s, shape=a.shape))
