"""Remove nodes that return their input as it is.

Identity, Dropout at inference, joins of one value, pools of one element, pads of nothing, slices of everything, reshapes to
the same shape. What reads such a node reads its input instead; a graph output keeps its name.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array

# An end this large means "to the end": no axis of a tensor that fits a memory has a billion elements.
_UNBOUNDED = 10**9


def remove_noops(model: ir.Model) -> int:
    """Remove every no-op of the main graph; returns their number."""
    editor = Editor(model.graph)
    return sum(_remove(editor, node) for node in tuple(model.graph))


def _remove(editor: Editor, node: ir.Node) -> int:
    test = _TESTS.get(node.op_type) if not node.domain else None
    spare = node.outputs[1:]
    if test is None or not node.inputs or node.inputs[0] is None or any(v.uses() or v.is_graph_output() for v in spare):
        return 0
    return int(test(node) and editor.bypass(node.outputs[0], node.inputs[0]))


def _is_inference(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    array = const_array(training)
    return training is None or (array is not None and not array.any())


def _has_one_input(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _has_one_output(node: ir.Node) -> bool:
    return len(node.outputs) == 1


def _pools_one(node: ir.Node) -> bool:
    ones = [*attr_ints(node, "kernel_shape", (0,)), *attr_ints(node, "strides", (1,))]
    return set(ones) == {1} and not any(attr_ints(node, "pads", ())) and attr_str(node, "auto_pad", "NOTSET") != "SAME_LOWER"


def _pads_nothing(node: ir.Node) -> bool:
    pads = const_array(node.inputs[1])
    return pads is not None and not pads.any()


def _slices_everything(node: ir.Node) -> bool:
    x, (starts, ends, axes, steps) = node.inputs[0], slice_arguments(node)
    if x is None or x.shape is None or starts is None or ends is None or axes is None or steps is None:
        return False
    sizes = [x.shape[axis] for axis in axes]
    whole = [end >= (size if isinstance(size, int) else _UNBOUNDED) for end, size in zip(ends, sizes, strict=True)]
    return all(whole) and not any(starts) and set(steps) <= {1}


def slice_arguments(node: ir.Node) -> tuple[list[int] | None, list[int] | None, list[int] | None, list[int] | None]:
    """Starts, ends, axes (counted from the front) and steps of a Slice; None for those that are computed."""
    x = node.inputs[0]
    arrays = [const_array(value) for value in node.inputs[1:]]
    absent = [index + 1 >= len(node.inputs) or node.inputs[index + 1] is None for index in range(4)]
    lists = [None if array is None else [int(item) for item in array] for array in arrays] + [None] * 4
    starts, ends, axes, steps = lists[:4]
    if starts is not None and absent[2]:
        axes = list(range(len(starts)))
    if starts is not None and absent[3]:
        steps = [1] * len(starts)
    rank = len(x.shape) if x is not None and x.shape is not None else None
    if axes is not None and rank is not None:
        axes = [axis % rank for axis in axes]
    return starts, ends, axes if rank is not None else None, steps


def _keeps_shape(node: ir.Node) -> bool:
    """Equal static sizes at equal places, and at most one size unknown: then it is equal too."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None or len(x.shape) != len(y.shape):
        return False
    before, after = list(x.shape), list(y.shape)
    unknown = [(a, b) for a, b in zip(before, after, strict=True) if not (isinstance(a, int) and isinstance(b, int))]
    known = [(a, b) for a, b in zip(before, after, strict=True) if isinstance(a, int) and isinstance(b, int)]
    return all(a == b and a != 0 for a, b in known) and len(unknown) <= 1


def _flattens_matrix(node: ir.Node) -> bool:
    x = node.inputs[0]
    return x is not None and x.shape is not None and len(x.shape) == 2 and attr_int(node, "axis", 1) in (1, -1)


_TESTS: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": lambda node: True,
    "Dropout": _is_inference,
    "AveragePool": _pools_one,
    "MaxPool": _pools_one,
    "Pad": _pads_nothing,
    "Slice": _slices_everything,
    "Reshape": _keeps_shape,
    "Flatten": _flattens_matrix,
    "Split": _has_one_output,
    **dict.fromkeys(("Concat", "Sum", "Mean", "Max", "Min"), _has_one_input),
}
