"""A situation in which quantizers go wrong: a network in onnx's text form, with its weights and samples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from benchmarks.feeds import Array

SAMPLES = 24


def normal(*shape: int, seed: int = 0) -> Array:
    """Normal numbers, the same in every run."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def one_in_ten(*shape: int) -> Array:
    """Samples of which one in ten is a hundred times louder."""
    return normal(*shape, seed=9) * np.where(np.arange(shape[0]) % 10 == 0, 10.0, 0.1).reshape(-1, *[1] * (len(shape) - 1))


@dataclass(frozen=True)
class Situation:
    """A network in onnx's text form, its weights, and all its samples of `x`, one a row; `axis` is that of unlike parts.

    `change` is done to the model last; `verify` says that the trouble is what verification says; `size` that it is the file's.
    """

    text: str
    samples: Callable[[], Array]
    weights: Mapping[str, Array] = field(default_factory=dict)
    opset: int = 17
    axis: int | None = None
    change: Callable[[onnx.ModelProto], onnx.ModelProto] | None = None
    verify: bool = False
    size: bool = False

    def model(self) -> onnx.ModelProto:
        """The float model."""
        graph = onnx.parser.parse_graph(f"g {self.text}")
        graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in self.weights.items())
        opsets = [onnx.helper.make_opsetid(*pair) for pair in (("", self.opset), ("com.microsoft", 1))]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return model if self.change is None else self.change(model)


def optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    """What onnxruntime saves of a model that it has optimized."""
    with tempfile.TemporaryDirectory() as folder:
        options, path = ort.SessionOptions(), Path(folder) / "o.onnx"
        options.optimized_model_filepath, options.log_severity_level = str(path), 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def minus_one(model: onnx.ModelProto) -> onnx.ModelProto:
    """A size of -1, as some exporters write an unknown one."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    return model


SPREAD = np.float32(10.0) ** -np.arange(4, dtype=np.float32)  # the sizes of channels: 1 to a thousandth
MASK = np.where(np.tri(32, dtype=bool), 0.0, -np.inf).astype(np.float32)
PICTURES, ROWS, TOKENS = "float[N,4,10,10] x", "float[N,16] x", "float[N,32,16] x"


def pictures() -> Array:
    """Samples of four channels."""
    return normal(SAMPLES, 4, 10, 10)


def unlike_channels() -> dict[str, Array]:
    """Weights of three layers: channels that differ a thousand times in size, made alike by a depthwise one, and mixed."""
    spread = SPREAD.reshape(4, 1, 1, 1)
    return {"w": normal(4, 4, 1, 1) * spread, "v": normal(4, 1, 3, 3) / spread, "u": normal(4, 4, 1, 1, seed=3)}


def rows() -> Array:
    """Samples of 16 numbers."""
    return normal(SAMPLES, 16)


def tokens() -> Array:
    """Samples of 32 rows."""
    return normal(SAMPLES, 32, 16)


def sparse(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights as sparse tensors."""
    for weight in model.graph.initializer:
        array = onnx.numpy_helper.to_array(weight).reshape(-1)
        places = np.flatnonzero(array)
        values = onnx.numpy_helper.from_array(array[places], weight.name)
        indices = onnx.numpy_helper.from_array(places, f"{weight.name}_places")
        model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, list(weight.dims)))
    del model.graph.initializer[:]
    return model
