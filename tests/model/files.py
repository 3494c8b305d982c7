"""Model files for tests: written as ONNX text, damaged on purpose, and compared with what onnxruntime makes of the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper, parser

from qconv.model.session import open_session

Array = NDArray[Any]
Shapes = Mapping[str, Sequence[int]]
_TYPES = {"float": np.float32, "int64": np.int64, "int32": np.int32, "bool": np.bool_, "uint8": np.uint8, "int8": np.int8}

LINEAR = """<ir_version: {ir}, opset_import: ["" : {opset}]>
linear (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {{1, 2, 3, 4, 5, 6}}>
{{ y = MatMul(x, w) }}"""


def linear(opset: int = 21, ir_version: int = 10) -> onnx.ModelProto:
    """y = x w, the smallest model with a weight."""
    return parser.parse_model(LINEAR.format(ir=ir_version, opset=opset))


def write(folder: Path, model: onnx.ModelProto | str, name: str = "m.onnx") -> Path:
    """A model, or the text of one, as a file."""
    proto = parser.parse_model(model) if isinstance(model, str) else model
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def external(name: str, array: Array, location: str, offset: int = 0) -> onnx.TensorProto:
    """A tensor whose bytes lie in a file."""
    tensor = TensorProto(name=name, data_type=numpy_helper.from_array(array[:0]).data_type, dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": str(offset), "length": str(array.nbytes)}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def random_feeds(path: Path, shapes: Shapes | None = None) -> dict[str, Array]:
    """Random input; symbolic dimensions are 1 unless `shapes` gives the input's shape."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for info in open_session(path, threads=1, optimize=False).get_inputs():
        shape = (shapes or {}).get(info.name, [dim if isinstance(dim, int) else 1 for dim in info.shape])
        kind = _TYPES[info.type.removeprefix("tensor(").removesuffix(")")]
        whole = kind != np.float32
        feeds[info.name] = rng.integers(0, 2, shape).astype(kind) if whole else rng.standard_normal(shape, dtype=np.float32)
    return feeds


def run(model: ir.Model | Path, feeds: Mapping[str, Array]) -> list[Array]:
    """All outputs."""
    return list(open_session(model, threads=1).run(None, dict(feeds)))


def assert_same(original: Path, model: ir.Model, shapes: Shapes | None = None) -> None:
    """The loaded graph has the original's inputs and outputs, and computes the same."""
    feeds = random_feeds(original, shapes)
    before, after = open_session(original, threads=1), open_session(model, threads=1)
    assert [info.name for info in after.get_inputs()] == [info.name for info in before.get_inputs()]
    assert [info.name for info in after.get_outputs()] == [info.name for info in before.get_outputs()]
    for wanted, found in zip(before.run(None, feeds), after.run(None, feeds), strict=True):
        # Nodes rewritten by the converter can lose a fusion of onnxruntime, which sums in another order: a few ulps.
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-6 * max(1.0, float(np.abs(wanted).max(initial=0))), equal_nan=True)
