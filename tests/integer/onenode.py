"""Graphs of a single node, run in onnxruntime and in the executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.model.machine import adds_pairs_in_int16

Array = NDArray[Any]


def one_node(
    op_type: str,
    inputs: Sequence[Array | None],
    *,
    dynamic: Sequence[int] = (0,),
    domain: str = "",
    outputs: Sequence[DTypeLike] = (np.uint8,),
    attributes: Mapping[str, Any] | None = None,
    opset: int = 21,
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model of one node whose inputs are arrays (None: left out), and feeds for those in `dynamic`; others are initializers."""
    names = ["" if array is None else f"i{index}" for index, array in enumerate(inputs)]
    results = [f"o{index}" for index in range(len(outputs))]
    node = helper.make_node(op_type, names, results, name="node", domain=domain, **(attributes or {}))
    graph = helper.make_graph(
        [node],
        "graph",
        [_value(names[i], array.dtype, array.shape) for i in dynamic if (array := inputs[i]) is not None],
        [_value(name, np.dtype(dtype), None) for name, dtype in zip(results, outputs, strict=True)],
        [numpy_helper.from_array(a, names[i]) for i, a in enumerate(inputs) if a is not None and i not in dynamic],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return model, {names[i]: array for i in dynamic if (array := inputs[i]) is not None}


def run_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array], *, optimize: bool = True) -> list[Array]:
    """The outputs of `model`, with onnxruntime's default optimization or with none."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, dict(feeds))]


def differing(model: onnx.ModelProto, feeds: Mapping[str, Array], *, optimize: bool = True) -> tuple[int, int]:
    """How many output elements differ between onnxruntime and the executor, and how many there are."""
    theirs = run_onnxruntime(model, feeds, optimize=optimize)
    computed = Executor(Program.read(ir.from_proto(model))).run(feeds)
    ours = [computed[output.name] for output in model.graph.output]
    count = 0
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        count += int((mine != other).sum())
    return count, sum(array.size for array in theirs)


def assert_equal(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> None:
    """Fail unless every element is equal, with and without onnxruntime's optimization."""
    for optimize in (False, True):
        count, total = differing(model, feeds, optimize=optimize)
        assert count == 0, f"{count} of {total} elements differ (optimized: {optimize})"


def codes(rng: np.random.Generator, shape: Sequence[int], dtype: DTypeLike = np.uint8) -> Array:
    """Random codes over the whole range of an integer type; int8 from -64 to 63 where more would saturate in products."""
    limits = np.iinfo(np.dtype(dtype))
    low, high = (-64, 63) if limits.min == -128 and saturates() else (limits.min, limits.max)
    return rng.integers(low, high, tuple(shape), dtype=dtype, endpoint=True)


@cache
def saturates() -> bool:
    """Whether this processor adds products of uint8 and int8 in int16, as with AVX2 and without VNNI."""
    return adds_pairs_in_int16()


def f32(value: float | Sequence[float]) -> Array:
    """A scale: float32, rank 0 for one value."""
    return np.asarray(value, np.float32)


def zero(value: int, dtype: DTypeLike = np.uint8) -> Array:
    """A zero point: rank 0, of an integer type."""
    return np.asarray(value, dtype)


def _value(name: str, dtype: np.dtype[Any], shape: Sequence[int] | None) -> onnx.ValueInfoProto:
    types = {"float32": TensorProto.FLOAT, "bool": TensorProto.BOOL}
    code = types.get(dtype.name) or helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, code, shape)


def dyadic(rng: np.random.Generator, channels: int | None = None) -> Array:
    """Scales k / 2^11, k < 16: float32 holds their products with accumulators, so onnxruntime is exact by construction."""
    return np.asarray(rng.integers(1, 16, () if channels is None else channels) / 2**11, np.float32)
