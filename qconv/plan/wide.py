"""Which tensors stand in int32 beside their codes, or instead of them: residual streams that norms read.

A norm divides by the deviation of its row, so that what 8 bits cut off from the small elements of a row with a large one is
lost for good. So a sum that a norm reads, or another such sum, is kept in int32, and with it what it is made of: the output of
a norm, the accumulators of a layer whose output nothing else reads, what was joined and taken apart on the way, as with a class
token, and an input of the network, which comes in 16 bits. In
attention over many tokens, the probabilities are such a tensor: their exponentials are multiplied with the values, and divided
afterwards. What a steep function reads is wide too, with all that leads to it (steep.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import attr_int, const_array, is_float
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import row_size, scalar_factor
from qconv.ops.op_table import has_weight

_FEWEST = 32  # rows of fewer probabilities are nearly as good and faster in 8 bits
LONGEST_SUM = 255 * 2**11 - 1  # exponentials whose sum, and sum of products with codes, stay in int32 (lower/attention.py)

Use = tuple[str, int]  # the name of a node, and the index of its input


@dataclass(frozen=True)
class WideTensors:
    """`tensors` are wide; `uses` are the inputs of nodes that read them so."""

    tensors: frozenset[str] = frozenset()
    uses: frozenset[Use] = frozenset()


def wide_tensors(
    nodes: Sequence[ir.Node], inputs: Collection[ir.Value] = (), also: Collection[str] = ()
) -> WideTensors:  # fmt: skip
    """The wide tensors among those of the integer nodes, which are in the order of the graph, and among `inputs`.

    Those named in `also` are wide whatever reads them.
    """
    integer, wide = set(nodes), set[ir.Value]()

    def reads_wide(user: ir.Node) -> bool:
        passes = (is_wide_sum(user) or is_wide_join(user) or _moves(user)) and user.outputs[0] in wide
        return user in integer and (is_norm(user) or passes)

    def can_be_wide(value: ir.Value | None) -> bool:
        maker = None if value is None else value.producer()
        if value in inputs:
            return value is not None and is_float(value)
        if maker is None or maker not in integer:
            return False
        makes = is_norm(maker) or is_wide_sum(maker) or is_wide_join(maker) or is_product(maker)
        return makes or (_moves(maker) and can_be_wide(maker.inputs[0]))

    for node in reversed(nodes):
        output = node.outputs[0]
        if _is_long_softmax(node, integer):
            wide.add(output)
            continue
        if _shifts_integers(node):
            wide.add(output)
            continue
        readers = [use.node for use in output.uses() if use.idx == 0 or not _moves(use.node)]
        if not can_be_wide(output) or not any(map(reads_wide, readers)):
            continue
        if is_norm(node) or is_wide_sum(node) or is_wide_join(node):
            if not (is_norm(node) and all(map(is_norm, filter(reads_wide, readers)))):
                wide.add(output)
        elif all(map(reads_wide, readers)) and not output.is_graph_output():
            wide.add(output)
    wide |= {value for value in inputs if is_float(value) and any(map(reads_wide, value.consumers()))}
    uses = {
        (str(use.node.name), use.idx) for value in wide for use in value.uses() if reads_wide(use.node) or divides_last(value)
    }
    return WideTensors(frozenset(str(value.name) for value in wide).union(also), frozenset(uses))


def divides_last(value: ir.Value | None) -> bool:
    """Whether a wide tensor holds exponentials whose row has still to be divided by its sum."""
    maker = None if value is None else value.producer()
    return maker is not None and has_trait(maker, Trait.PROBABILITIES)


def _is_long_softmax(node: ir.Node, integer: Collection[ir.Node]) -> bool:
    """Whether products of many probabilities with values are all that a Softmax is for.

    Each probability of a long row is a few codes at most. The exponentials have all codes, and the division by their sum may
    as well follow the product.
    """
    size = row_size(node)
    return (size is None or size >= _FEWEST) and weighs_values(node, integer)


def weighs_values(node: ir.Node, integer: Collection[ir.Node]) -> bool:
    """Whether a node makes probabilities along the last axis that only weigh values; their sums are proved to stay in int32."""
    output, size = node.outputs[0], row_size(node)
    if not has_trait(node, Trait.PROBABILITIES) or output.is_graph_output() or output.shape is None:
        return False
    rank = len(output.shape)
    if (size is not None and size > LONGEST_SUM) or attr_int(node, "axis", -1) % rank != rank - 1:
        return False
    uses = list(output.uses())
    return bool(uses) and all(use.node in integer and use.idx == 0 and is_product_of_two(use.node) for use in uses)


def is_product_of_two(node: ir.Node) -> bool:
    """Whether a node multiplies two computed matrices."""
    return has_trait(node, Trait.WEIGHTS) and len(node.inputs) == 2 and all(const_array(v) is None for v in node.inputs)


def is_norm(node: ir.Node) -> bool:
    """Whether a node divides rows by their deviation."""
    return has_trait(node, Trait.STANDARDIZES)


def is_wide_sum(node: ir.Node) -> bool:
    """Whether a node is a sum that can be computed in int32."""
    return has_trait(node, Trait.SUMS) and len(node.inputs) == 2


def _shifts_integers(node: ir.Node) -> bool:
    """Whether a node adds a constant to what was made of integers, as for a mask: its codes are exact, whatever cancels."""
    constants = [const_array(value) is not None for value in node.inputs] if is_wide_sum(node) else []
    return any(constants) and not all(constants) and _made_of_integers(node.inputs[constants.index(False)])


def _made_of_integers(value: ir.Value | None) -> bool:
    maker = None if value is None else value.producer()
    if maker is None or maker.domain:
        return False
    if has_trait(maker, Trait.CASTS):
        return maker.inputs[0] is not None and not is_float(maker.inputs[0])
    scales = has_trait(maker, Trait.MULTIPLIES) and scalar_factor(maker) is not None
    return (_moves(maker) or scales) and any(map(_made_of_integers, maker.inputs))


def is_product(node: ir.Node) -> bool:
    """Whether a node multiplies by a constant matrix."""
    weight = const_array(node.inputs[1]) if has_weight(node) else None
    return weight is not None and weight.ndim == 2


def is_wide_join(node: ir.Node) -> bool:
    """Whether a node joins tensors of reals, which it can do in int32."""
    return has_trait(node, Trait.JOINS) and is_float(node.outputs[0])


def _moves(node: ir.Node) -> bool:
    """Whether a node has elements of its input, all or some, in whatever order."""
    return has_trait(node, Trait.RESHAPES | Trait.PERMUTES | Trait.TAKES) and len(node.outputs) == 1
