"""Small float graphs for testing passes, and the check that a pass keeps what they compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qconv.model.session import open_session
from qconv.prepare.selfcheck import relative_difference

Array = NDArray[Any]

# Folding reorders float32 sums of at most a few hundred terms: a few ulps of the largest output.
TOLERANCE = 2e-6


def rand(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Normal numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> NDArray[np.float32]:
    """Numbers from 0.5 to 2."""
    return np.random.default_rng(shape).uniform(0.5, 2, shape).astype(np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    """A vector of int64, as axes and shapes are."""
    return np.array(values, np.int64)


def write_graph(folder: Path, text: str, constants: Mapping[str, Array]) -> Path:
    """A file with a graph of opset 17 in onnx's text, whose outputs have no shapes."""
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    for info in graph.output:
        info.type.tensor_type.ClearField("shape")
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node named after its first output; values are parted by blanks, and _ leaves an input out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), name=f"node_{outputs.split()[0]}", **attributes)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: str = "y",
    constants: Mapping[str, Array] | None = None,
) -> ir.Model:
    """A model as loading leaves it: opset 21, constants as initializers, shapes inferred."""
    proto = helper.make_model(
        helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [onnx.ValueInfoProto(name=name) for name in outputs.split()],
            [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True))


def ops(model: ir.Model) -> list[str]:
    """The op types of a graph, in order."""
    return [step.op_type for step in model.graph]


def changes(
    step: Callable[[ir.Model], int], model: ir.Model, *, feed: Mapping[str, Array] | None = None, unknown: int = 2
) -> int:
    """Run a pass; check that the graph stays valid and computes the same, under the same names; return the pass's count."""
    feed = feed or _feed(model, unknown)
    names = [value.name for value in model.graph.outputs]
    before = open_session(model, optimize=False).run(None, dict(feed))
    count = step(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert [value.name for value in model.graph.outputs] == names
    after = open_session(model, optimize=False).run(None, dict(feed))
    assert max(relative_difference(a, b) for a, b in zip(before, after, strict=True)) <= TOLERANCE
    return count


def _feed(model: ir.Model, unknown: int) -> dict[str, Array]:
    """Normal numbers for every input; unknown sizes are `unknown`."""
    shapes = {str(value.name): value.shape for value in model.graph.inputs}
    sizes = {name: [size if isinstance(size, int) else unknown for size in shape or ()] for name, shape in shapes.items()}
    return {name: rand(*size, seed=7) for name, size in sizes.items()}
