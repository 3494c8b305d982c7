"""Attention and RotaryEmbedding, which the standard has from opset 23 on, taken apart.

y = softmax(softcap(scale q k') + mask) v      keys and values behind what came before, each for several heads of queries

A query attends to the keys that a mask of truth values allows, a causal one to those before it, and to those within the lengths
that opset 24 gives for each sample. What attends to no key of a mask is zero.
"""

from __future__ import annotations

import math
from functools import partial, reduce

import numpy as np
import onnx_ir as ir

from .attention_formula import Size, by_heads, by_tokens, is_read, rotate, scores, shared_out, sizes_of, softmax
from .formula import Steps
from .graph import attr_float, attr_int, const_array

_LOWEST = float(np.finfo(np.float32).min)
_ODD = ("left_window_size", "right_window_size")
_SCORES, _CAPPED, _MASKED, _SHARES = range(4)  # what the fourth output holds


def write_attention(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """Rewrites Attention; 0 where a size that the formula needs is not known."""
    mask, past_key, past_value, lengths = [*node.inputs[3:7], *[None] * 4][:4]
    found = [_heads(node, value, steps, name) for value, name in zip(node.inputs, ("q", "kv", "kv"), strict=False)]
    q, k, v = (value for value in (*found, None, None, None)[:3])
    mode = attr_int(node, "qk_matmul_output_mode", 0)
    if q is None or k is None or v is None or any(attr_int(node, name, -1) >= 0 for name in _ODD):
        return 0
    if not _is_whole(mask, k, past_key):
        return 0
    rows = _counted(steps, q, past_key, lengths)
    if past_key is not None and past_value is not None:
        k, v = _behind(steps, past_key, k), _behind(steps, past_value, v)
    for index, value in ((1, k), (2, v)):
        if is_read(node, index):
            steps.hand_over(node.outputs[index], value)
    heads = int(str(sizes_of(q)[1]))
    k, v = _for_heads(steps, k, heads), _for_heads(steps, v, heads)
    scale = attr_float(node, "scale", 0.0) or 1.0 / math.sqrt(int(str(sizes_of(q)[3])))
    product = scores(steps, q, k, scale)
    capped = _capped(node, steps, product)
    allowed = _allowed(node, steps, mask, rows, k, lengths)
    masked = _masked(steps, capped, mask, allowed)
    shares = softmax(steps, masked)
    some = _some(steps, allowed, mask, lengths)
    if some is not None and is_read(node, 3) and mode == _SHARES:
        shares, some = steps("Where", some, shares, steps.constant(0.0), shape=shares.shape), None
    if is_read(node, 3):
        inner = {_SCORES: product, _CAPPED: capped, _MASKED: masked, _SHARES: shares}[mode]
        steps.hand_over(node.outputs[3], inner)
    given = shared_out(steps, shares, v)
    if some is not None:
        given = steps("Where", some, given, steps.constant(0.0), shape=given.shape)
    return by_tokens(steps, given) if len(sizes_of(x)) == 3 else steps.last("Identity", given)


def write_rotary(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """Rewrites RotaryEmbedding; 0 where the size of a head is not known."""
    cosines, sines, places = [*node.inputs[1:4], None][:3]
    rank, count = len(sizes_of(x)), attr_int(node, "num_heads", 0)
    width = sizes_of(x)[-1]
    if cosines is None or sines is None or not isinstance(width, int) or (rank == 3 and not count):
        return 0
    size = width if rank == 4 else width // count
    turned = attr_int(node, "rotary_embedding_dim", 0) or size
    return rotate(steps, x, size, turned, (cosines, sines, places), pairs=bool(attr_int(node, "interleaved", 0)))


def _heads(node: ir.Node, x: ir.Value | None, steps: Steps, name: str) -> ir.Value | None:
    """[batch, heads, tokens, size], the number and the size of the heads being known; else None."""
    if x is None or x.shape is None:
        return None
    if len(x.shape) == 4:
        return x if isinstance(x.shape[1], int) and isinstance(x.shape[3], int) else None
    count = attr_int(node, f"{name}_num_heads", 0)
    return by_heads(steps, x, count) if count and isinstance(x.shape[2], int) else None


def _is_whole(mask: ir.Value | None, k: ir.Value, past: ir.Value | None) -> bool:
    """Whether a mask has a place for each key, as far as is known: a shorter one of opset 24 forbids what lies beyond it."""
    shapes = [value.shape for value in (mask, k, past) if value is not None]
    if mask is None:
        return True
    if any(shape is None for shape in shapes):
        return False
    keys = [sizes_of(value)[2] for value in (k, past) if value is not None]
    known = [size for size in keys if isinstance(size, int)]
    last = sizes_of(mask)[-1] if sizes_of(mask) else 1
    return len(known) < len(keys) or not isinstance(last, int) or last in (1, sum(known))


def _behind(steps: Steps, past: ir.Value, new: ir.Value) -> ir.Value:
    batch, heads, tokens, size = sizes_of(new)
    before: Size = None if past.shape is None else past.shape[2]
    total = before + tokens if isinstance(before, int) and isinstance(tokens, int) else None
    return steps("Concat", past, new, shape=[batch, heads, total, size], axis=2)


def _for_heads(steps: Steps, x: ir.Value, heads: int) -> ir.Value:
    """Keys or values for each head of queries: several in a row share one."""
    batch, count, tokens, size = sizes_of(x)
    if count == heads:
        return x
    times = heads // int(str(count))
    apart = steps("Unsqueeze", x, steps.constant([2], np.int64), shape=[batch, count, 1, tokens, size])
    times_each = steps.constant([1, 1, times, 1, 1], np.int64)
    spread = steps("Expand", apart, times_each, shape=[batch, count, times, tokens, size])
    return steps("Reshape", spread, steps.constant([0, heads, -1, int(str(size))], np.int64), shape=[batch, heads, tokens, size])


def _capped(node: ir.Node, steps: Steps, x: ir.Value) -> ir.Value:
    cap = attr_float(node, "softcap", 0.0)
    if not cap:
        return x
    return steps("Mul", steps("Tanh", steps("Mul", x, steps.constant(1.0 / cap))), steps.constant(cap))


def _allowed(
    node: ir.Node, steps: Steps, mask: ir.Value | None, rows: ir.Value, k: ir.Value, lengths: ir.Value | None
) -> ir.Value | None:  # fmt: skip
    """The keys that each query may attend to, as truth values; None for all of them."""
    columns, found = _count(steps, k, 2), list[ir.Value]()
    if mask is not None and mask.dtype is ir.DataType.BOOL:
        found.append(mask)
    if attr_int(node, "is_causal", 0):
        found.append(_truth(steps, "LessOrEqual", columns, rows))
    if lengths is not None:
        found.append(_truth(steps, "Less", columns, _by_sample(steps, lengths)))
    return reduce(partial(_truth, steps, "And"), found) if found else None


def _masked(steps: Steps, x: ir.Value, mask: ir.Value | None, allowed: ir.Value | None) -> ir.Value:
    """Scores plus a mask of reals, and the lowest one where none is allowed."""
    if mask is not None and mask.dtype is not ir.DataType.BOOL:
        x = steps("Add", x, mask, shape=x.shape)
    return x if allowed is None else steps("Where", allowed, x, steps.constant(_LOWEST), shape=x.shape)


def _some(steps: Steps, allowed: ir.Value | None, mask: ir.Value | None, lengths: ir.Value | None) -> ir.Value | None:
    """Whether each query may attend to any key; None where each does, as for causality alone and most constant masks."""
    if allowed is None or (lengths is None and (mask is None or mask.dtype is not ir.DataType.BOOL)):
        return None
    constant = const_array(allowed)
    if constant is not None and constant.ndim and constant.any(axis=-1).all():
        return None
    shape = None if allowed.shape is None else [*list(allowed.shape)[:-1], 1]
    numbers = steps("Cast", allowed, shape=allowed.shape, dtype=ir.DataType.INT32, to=int(ir.DataType.INT32))
    last = steps.constant([-1], np.int64)
    most = steps("ReduceMax", numbers, last, shape=shape, dtype=ir.DataType.INT32, keepdims=1)
    return steps("Cast", most, shape=shape, dtype=ir.DataType.BOOL, to=int(ir.DataType.BOOL))


def _counted(steps: Steps, q: ir.Value, past: ir.Value | None, lengths: ir.Value | None) -> ir.Value:
    """The place of each query among the keys: [queries, 1], or [batch, 1, queries, 1] where samples differ in length."""
    rows = _count(steps, q, 2)
    rows = _integers(steps, "Unsqueeze", rows, steps.constant([1], np.int64), shape=[*sizes_of(rows), 1])
    if past is not None:
        return _integers(steps, "Add", rows, _size(steps, past, 2))
    if lengths is not None:
        return _integers(steps, "Add", rows, _integers(steps, "Sub", _by_sample(steps, lengths), _size(steps, q, 2)))
    return rows


def _count(steps: Steps, x: ir.Value, axis: int) -> ir.Value:
    """0, 1, 2 ... along an axis."""
    size = sizes_of(x)[axis]
    if isinstance(size, int):
        return steps.constant(np.arange(size), np.int64)
    count = _integers(steps, "Squeeze", _size(steps, x, axis), shape=[])
    ends = (steps.constant(number, np.int64) for number in (0, 1))
    return _integers(steps, "Range", next(ends), count, next(ends), shape=[size])


def _size(steps: Steps, x: ir.Value, axis: int) -> ir.Value:
    """The size of an axis, as a vector of one."""
    size = None if x.shape is None else x.shape[axis]
    if isinstance(size, int):
        return steps.constant([size], np.int64)
    return _integers(steps, "Shape", x, shape=[1], start=axis, end=axis + 1)


def _by_sample(steps: Steps, lengths: ir.Value) -> ir.Value:
    batch = None if lengths.shape is None else lengths.shape[0]
    return _integers(steps, "Unsqueeze", lengths, steps.constant([1, 2, 3], np.int64), shape=[batch, 1, 1, 1])


def _integers(
    steps: Steps, op_type: str, *inputs: ir.Value, shape: list[Size] | None = None, **attributes: int
) -> ir.Value:  # fmt: skip
    return steps(op_type, *inputs, shape=shape, dtype=ir.DataType.INT64, **attributes)


def _truth(steps: Steps, op_type: str, a: ir.Value, b: ir.Value) -> ir.Value:
    return steps(op_type, a, b, dtype=ir.DataType.BOOL)
