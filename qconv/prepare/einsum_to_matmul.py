"""Write an Einsum of two tensors as one product of matrices, and Gemm of two computed ones.

Letters are of three kinds: in both operands and the result (batches), in both and not in the result (summed), in one and the
result (free). Transposes and reshapes bring the operands to [batches, free, summed] and [batches, summed, free]. Batches keep an
axis each, so that their sizes need not be known.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.formula import Steps
from qconv.model.graph import attr_float, attr_int, attr_str, const_array, is_float

_Sizes = dict[str, int | None]


def einsum_to_matmul(model: ir.Model) -> int:
    """Rewrite them where sizes are known; returns their number."""
    editor, count = Editor(model.graph), 0
    for node in tuple(model.graph):
        if node.domain or any(value is None or not is_float(value) or value.shape is None for value in node.inputs[:2]):
            continue
        if node.op_type == "Einsum" and len(node.inputs) == 2:
            count += _einsum(node, Steps(editor, node))
        elif node.op_type == "Gemm" and all(const_array(value) is None for value in node.inputs[:2]):
            count += _gemm(node, Steps(editor, node))
    return count


def _einsum(node: ir.Node, steps: Steps) -> int:
    equation = attr_str(node, "equation", "").replace(" ", "")
    left, _, result = equation.partition("->")
    terms = left.split(",")
    if "..." in equation or "->" not in equation or len(terms) != 2 or any(len(set(t)) < len(t) for t in (*terms, result)):
        return 0
    a, b = terms
    sizes: _Sizes = {}
    for term, value in zip(terms, node.inputs, strict=True):
        assert value is not None and value.shape is not None
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = size if isinstance(size, int) else sizes.get(letter)
    batch = [c for c in result if c in a and c in b]
    summed = [c for c in a if c in b and c not in result]
    rows, columns = [c for c in result if c in a and c not in b], [c for c in result if c in b and c not in a]
    alone = [c for c in (*a, *b) if c not in result and not (c in a and c in b)]
    if alone or not summed:
        return 0
    groups = rows, summed, columns
    if any(len(group) > 1 and None in [sizes[c] for c in group] for group in groups):
        return 0
    parts = [[rows, summed], [summed, columns], [rows, columns]]
    if any(not _stay(part) and sum(sizes[c] is None for group in part for c in group) > 1 for part in parts):
        return 0
    x, y = node.inputs
    assert x is not None and y is not None
    first = _ordered(steps, x, a, batch, parts[0], sizes)
    second = _ordered(steps, y, b, batch, parts[1], sizes)
    lead = [sizes[c] for c in batch]
    found = steps("MatMul", first, second, shape=[*lead, _product(rows, sizes), _product(columns, sizes)])
    made = [*batch, *rows, *columns]
    if not _stay(parts[2]):
        target = [0] * len(batch) + _target([*rows, *columns], sizes)
        found = steps("Reshape", found, steps.constant(target, np.int64), shape=[sizes[c] for c in made])
    return steps.last("Transpose", found, perm=[made.index(c) for c in result])


def _stay(groups: list[list[str]]) -> bool:
    """Whether each group is one letter, so that no axes are joined."""
    return all(len(group) == 1 for group in groups)


def _ordered(
    steps: Steps, value: ir.Value, term: str, batch: list[str], groups: list[list[str]], sizes: _Sizes
) -> ir.Value:  # fmt: skip
    """An operand with an axis for each batch, and one for each group of letters."""
    order = [*batch, *(letter for group in groups for letter in group)]
    turned = steps("Transpose", value, shape=[sizes[c] for c in order], perm=[term.index(c) for c in order])
    if _stay(groups):
        return turned
    joined = [_product(group, sizes) for group in groups]
    target = [0] * len(batch) + [-1 if size is None else size for size in joined]
    return steps("Reshape", turned, steps.constant(target, np.int64), shape=[*(sizes[c] for c in batch), *joined])


def _product(group: list[str], sizes: _Sizes) -> int | None:
    found = [sizes[letter] for letter in group]
    known = [size for size in found if size is not None]
    return math.prod(known) if len(known) == len(found) else None


def _target(letters: list[str], sizes: _Sizes) -> list[int]:
    return [-1 if (size := sizes[letter]) is None else size for letter in letters]


def _gemm(node: ir.Node, steps: Steps) -> int:
    """A Gemm as alpha A' B' + beta C."""
    operands = []
    for value, key in zip(node.inputs[:2], ("transA", "transB"), strict=True):
        assert value is not None and value.shape is not None
        turned = steps("Transpose", value, shape=list(value.shape)[::-1], perm=[1, 0]) if attr_int(node, key, 0) else value
        operands.append(turned)
    alpha, beta = attr_float(node, "alpha", 1.0), attr_float(node, "beta", 1.0)
    rest = node.inputs[2] if len(node.inputs) > 2 else None
    shape = node.outputs[0].shape
    if alpha == 1.0 and rest is None:
        return steps.last("MatMul", *operands)
    product = steps("MatMul", *operands, shape=shape)
    if rest is None:
        return steps.last("Mul", product, steps.constant(alpha))
    scaled = product if alpha == 1.0 else steps("Mul", product, steps.constant(alpha), shape=shape)
    return steps.last("Add", scaled, rest if beta == 1.0 else steps("Mul", rest, steps.constant(beta)))
