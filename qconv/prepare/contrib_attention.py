"""Attention of com.microsoft, taken apart: products, masks, rotary embeddings, caches and embeddings.

Attention(x, W, b, mask, -, bias)               q, k, v = x W + b        softmax(scale q k' + mask + bias) v
MultiHeadAttention(q, k, v, b, mask, bias, past)                         the same of three tensors, behind what came before
RotaryEmbedding(x, positions, cos, sin)         [x1 c - x2 s, x2 c + x1 s] of the halves of each head, or of its pairs
EmbedLayerNormalization(ids, segments, ...)     norm(words[ids] + places[0 .. n] + kinds[segments])
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.attention_formula import Size, by_heads, by_tokens, cut_out, is_read, rotate, shared_out, softmax
from qconv.model.attention_formula import scores as attention_scores
from qconv.model.formula import Steps
from qconv.model.graph import attr_float, attr_int, const_array

_FILTER = -10000.0


def write_attention(node: ir.Node, steps: Steps) -> int:
    """Rewrites Attention; 0 where it has a cache, rotates, or has parts of unlike sizes."""
    x, weight, bias, *others = [*node.inputs, None, None, None, None][:7]
    odd = ("qkv_hidden_sizes", "do_rotary", "past_present_share_buffer")
    if x is None or x.shape is None or weight is None or weight.shape is None or any(name in node.attributes for name in odd):
        return 0
    mask, past, scores, length = [*others, None, None][:4]
    width = weight.shape[1]
    if past is not None or length is not None or not isinstance(width, int) or is_read(node, 1) or width % 3:
        return 0
    whole = steps("MatMul", x, weight, shape=[*x.shape[:2], width])
    whole = whole if bias is None else steps("Add", whole, bias)
    hidden = width // 3
    parts = [cut_out(steps, whole, 2, i * hidden, (i + 1) * hidden) for i in range(3)]
    return _attend(node, steps, parts, mask, scores)


def write_multi_head(node: ir.Node, steps: Steps) -> int:
    """Rewrites MultiHeadAttention; 0 where its operands are packed."""
    inputs = [*node.inputs, *[None] * 8][:8]
    parts = [value for value in inputs[:3] if value is not None and value.shape is not None and len(value.shape) == 3]
    bias, mask, scores, past_key, past_value = inputs[3:8]
    if len(parts) < 3 or (past_key is None) != (past_value is None) or any(value is not None for value in node.inputs[8:]):
        return 0
    if bias is not None:
        array, done = const_array(bias), 0
        if array is None:
            return 0
        for place, part in enumerate(parts):
            size = part.shape[2] if part.shape is not None else None
            if not isinstance(size, int):
                return 0
            parts[place] = steps("Add", part, steps.constant(array[done : done + size]))
            done += size
    past = None if past_key is None or past_value is None else (past_key, past_value)
    return _attend(node, steps, parts, mask, scores, past)


def _attend(
    node: ir.Node, steps: Steps, parts: Sequence[ir.Value], mask: ir.Value | None, scores: ir.Value | None,
    past: tuple[ir.Value, ir.Value] | None = None,
) -> int:  # fmt: skip
    heads = attr_int(node, "num_heads", 1)
    shapes = [part.shape for part in parts]
    assert all(shape is not None for shape in shapes)
    widths = [shape[2] for shape in shapes if shape is not None]
    tokens = [shape[1] for shape in shapes if shape is not None]
    causal = attr_int(node, "unidirectional", 0)
    known = [width for width in widths if isinstance(width, int) and width % heads == 0]
    if len(known) < 3 or (causal and not all(isinstance(size, int) for size in tokens)) or not _fits(mask):
        return 0
    batch = shapes[0][0] if shapes[0] is not None else None
    q, k, v = (by_heads(steps, part, heads) for part in parts)
    total: Size = tokens[1]
    if past is not None:
        before = past[0].shape[2] if past[0].shape is not None and len(past[0].shape) == 4 else None
        total = before + total if isinstance(before, int) and isinstance(total, int) else None
        k, v = (
            steps("Concat", old, new, shape=[batch, heads, total, width // heads], axis=2)
            for old, new, width in zip(past, (k, v), known[1:], strict=True)
        )
    for index, value in ((1, k), (2, v)):
        if is_read(node, index):
            steps.hand_over(node.outputs[index], value)
    product = attention_scores(steps, q, k, attr_float(node, "scale", 0.0) or 1.0 / math.sqrt(known[0] // heads))
    lowest = attr_float(node, "mask_filter_value", _FILTER)
    for term in (scores, None if mask is None else _as_scores(steps, mask, lowest)):
        product = product if term is None else steps("Add", product, term, shape=product.shape)
    if causal:
        rows, columns = int(str(tokens[0])), int(str(tokens[1]))
        seen = np.tril(np.ones((rows, columns), np.bool_), columns - rows)
        product = steps("Where", steps.constant(seen, np.bool_), product, steps.constant(lowest), shape=product.shape)
    return by_tokens(steps, shared_out(steps, softmax(steps, product), v))


def _fits(mask: ir.Value | None) -> bool:
    """Whether a mask has ones and zeros for each token, or for each pair."""
    return mask is None or (mask.shape is not None and len(mask.shape) in (2, 3))


def _as_scores(steps: Steps, mask: ir.Value, lowest: float) -> ir.Value:
    """(1 - m) lowest, [batch, 1, tokens or 1, tokens]."""
    assert mask.shape is not None
    axes = [1, 2] if len(mask.shape) == 2 else [1]
    batch, *rest = list(mask.shape)
    shape = [batch, *[1] * len(axes), *rest]
    real = steps("Cast", mask, shape=mask.shape, to=int(ir.DataType.FLOAT))
    spread = steps("Unsqueeze", real, steps.constant(axes, np.int64), shape=shape)
    return steps("Mul", steps("Sub", steps.constant(1.0), spread, shape=shape), steps.constant(lowest))


def write_rotary(node: ir.Node, steps: Steps) -> int:
    """Rewrites RotaryEmbedding, whose positions are those of the tokens, or that of the first; 0 where a size is not known."""
    x, places, cosines, sines = node.inputs[:4]
    if x is None or x.shape is None or places is None or places.shape is None or cosines is None or sines is None:
        return 0
    half = cosines.shape[1] if cosines.shape is not None else None
    width, part = x.shape[-1], attr_int(node, "rotary_embedding_dim", 0)
    odd = attr_int(node, "is_packed_batching", 0) or attr_float(node, "scale", 1.0) != 1.0
    if odd or not isinstance(width, int) or not isinstance(half, int):
        return 0
    size = width if len(x.shape) == 4 else width // max(attr_int(node, "num_heads", 0), 1) if part else 2 * half
    counted = places if len(places.shape) == 2 else _counted_on(steps, x, places)
    if counted is None or width % size:
        return 0
    return rotate(steps, x, size, part or size, (cosines, sines, counted), pairs=bool(attr_int(node, "interleaved", 0)))


def _counted_on(steps: Steps, x: ir.Value, first: ir.Value) -> ir.Value | None:
    """[1, tokens]: the positions from the first one on, the same for all samples."""
    assert x.shape is not None
    tokens = x.shape[1 if len(x.shape) == 3 else 2]
    if not isinstance(tokens, int):
        return None
    count = steps.constant(np.arange(tokens)[None], np.int64)
    return steps("Add", count, first, shape=[1, tokens], dtype=ir.DataType.INT64)


def write_embedding(node: ir.Node, steps: Steps) -> int:
    """Rewrites EmbedLayerNormalization unless its count of tokens is read."""
    ids, segments, words, places, kinds, gamma, beta, mask, positions = [*node.inputs, *[None] * 9][:9]
    if ids is None or ids.shape is None or len(ids.shape) != 2 or words is None or places is None or mask is not None:
        return 0
    hidden = words.shape[1] if words.shape is not None else None
    shape = [*ids.shape, hidden]
    if is_read(node, 1) or gamma is None:
        return 0
    total = steps("Gather", words, ids, shape=shape, axis=0)
    if positions is not None:
        total = steps("Add", total, steps("Gather", places, positions, shape=shape, axis=0))
    else:
        length = steps("Shape", ids, shape=[1], dtype=ir.DataType.INT64, start=1, end=2)
        zero = steps.constant([0], np.int64)
        total = steps("Add", total, steps("Slice", places, zero, length, zero, shape=[ids.shape[1], hidden]), shape=shape)
    if segments is not None and kinds is not None:
        total = steps("Add", total, steps("Gather", kinds, segments, shape=shape, axis=0), shape=shape)
    if is_read(node, 2):
        steps.hand_over(node.outputs[2], total)
    return steps.last(
        "LayerNormalization", total, gamma, *([] if beta is None else [beta]), axis=-1, epsilon=attr_float(node, "epsilon", 1e-12)
    )
