"""Simplify with the libraries: functions inlined, constant expressions folded, equal and unread nodes removed.

1. A node with constant inputs is computed, as long as its result fits a bound; so ConstantOfShape becomes a weight.
2. Of onnxscript's rewrite rules only those run that hold for every shape and type.
3. What folding drops no longer counts as a reader.
4. A node that replaces another gets its name back, by the name of what it computes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.rules import common as rules

from qconv.model.shapes import LONGEST
from qconv.model.traits import Trait, has_trait

# A single constant may take this many bytes: beyond any layer in use, and short of what exhausts a usual machine.
LARGEST_CONSTANT = 1_500_000_000

# Equal constants of up to this many elements become one, so that equal expressions over them are seen as equal.
_SMALL = 4

MADE_UP = "unk__"  # what onnx calls sizes that have no name

_RULES = RewriteRuleSet(
    [
        rules.no_op_cast_rule,
        rules.no_op_expand_rule,
        rules.no_op_transpose_rule,
        rules.transpose_transpose_rule,
        rules.reshape_reshape_rule,
        rules.unsqueeze_unsqueeze_rule,
        rules.squeeze_reshape_1d_rule,
        rules.collapse_slice_rule,
        rules.collapse_slice2_rule,
    ]
)


def simplify(model: ir.Model) -> int:
    """Simplify a model in place; returns the number of nodes fewer, or 1 if it only changed otherwise."""
    before = model.graph.num_nodes()
    propagate = _vectors_are_short(model.graph)
    names = {node.outputs[0].name: node.name for node in model.graph if node.outputs}
    with _quiet("onnxscript", "onnx_ir"):
        common.InlinePass()(model)
        changed = False
        for _ in range(3):
            again = _fold(model, propagate)
            _let_go_of_dropped(model.graph)
            again = _RULES.apply_to_model(model) > 0 or again
            common.DeduplicateInitializersPass(size_limit=_SMALL)(model)
            again = _share_equal_nodes(model) or again
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
            common.RemoveUnusedNodesPass()(model)
            _infer(model, propagate)
            changed = changed or again
            if not again:
                break
    for node in model.graph:
        node.name = names.get(node.outputs[0].name, node.name) if node.outputs else node.name
    common.NameFixPass()(model)
    return max(before - model.graph.num_nodes(), int(changed))


def infer_again(model: ir.Model) -> None:
    """Shapes anew, after a change that tells more of them; names that inference made up give way to those that it finds now."""
    for value in (value for node in model.graph.all_nodes() for value in node.outputs):
        if value.shape is not None:
            value.shape = ir.Shape([None if str(size).startswith(MADE_UP) else size for size in value.shape])
    with _quiet("onnxscript", "onnx_ir"):
        _infer(model, _vectors_are_short(model.graph))


def _infer(model: ir.Model, propagate: bool) -> None:
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=propagate)(model)


def _fold(model: ir.Model, propagate: bool) -> bool:
    """Whether constants were folded. What onnxscript cannot evaluate, such as some sequences, stays as it is."""
    try:
        return fold_constants(
            model,
            onnx_shape_inference=propagate,
            input_size_limit=LARGEST_CONSTANT,
            output_size_limit=LARGEST_CONSTANT,
            should_fold=_should_fold,
        ).modified
    except RuntimeError:
        return False


def _let_go_of_dropped(graph: ir.Graph) -> None:
    """Nodes that are in no graph read nothing any more: the branch of an If that does not run, which folding drops as it is."""
    there = set(graph.all_nodes())
    values = (*graph.inputs, *graph.initializers.values(), *(value for node in there for value in node.outputs))
    dropped = [use for value in values for use in value.uses() if use.node not in there]
    for use in dropped:
        use.node.replace_input_with(use.idx, None)


def _vectors_are_short(graph: ir.Graph) -> bool:
    """Whether shape inference may follow values: it computes vectors in full, and a small file may ask for a huge one."""
    for node in graph.all_nodes():
        if has_trait(node, Trait.GROWS) and not _is_short(node.outputs[0].shape):
            return False
    values = (*graph.inputs, *(value for node in graph.all_nodes() for value in node.outputs))
    return not any(value.shape is not None and _is_long(value.shape) for value in values)


def _is_short(shape: ir.Shape | None) -> bool:
    """A scalar, a short vector of known length, or a tensor of higher rank, whose values are not followed."""
    return shape is not None and (len(shape) != 1 or isinstance(shape[0], int)) and not _is_long(shape)


def _is_long(shape: ir.Shape) -> bool:
    return len(shape) == 1 and isinstance(shape[0], int) and shape[0] > LONGEST


def _should_fold(node: ir.Node) -> bool | None:
    """Whether to compute a node with constant inputs: where its result is known to fit, and it does not quantize."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"):
        return None
    value = node.outputs[0]
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return None
    return math.prod(value.shape.numpy()) * value.dtype.itemsize <= LARGEST_CONSTANT


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep the libraries from writing warnings of their own to the terminal."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _share_equal_nodes(model: ir.Model) -> bool:
    """Whether equal nodes became one; none do beside an attribute that is a type, as of an Optional, which has no hash."""
    try:
        return bool(common.CommonSubexpressionEliminationPass()(model).modified)
    except TypeError:
        return False
