"""The whole of preparation: order, fixpoint, names, and pretrained networks."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from qconv.errors import ModelError
from qconv.model.graph import attr_float, const_array
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.prepare import prepare
from qconv.prepare.selfcheck import largest_relative_difference

from .graphs import changes, graph, ints, node, ops, positive, rand

# The largest output of a network may come out of sums of thousands of float32 products, in another order.
TOLERANCE = 1e-4

HISTOGRAMS = {
    "mobilenet_v1_025_224_bn": {"Conv": 28, "Clip": 27, "GlobalAveragePool": 1, "Reshape": 1, "Softmax": 1},
    "cifar_resnet20_bn": {
        "Conv": 19,
        "Relu": 19,
        "Add": 9,
        "Slice": 2,
        "Pad": 2,
        "GlobalAveragePool": 1,
        "Reshape": 1,
        "Gemm": 1,
    },
    "mlperf_kws_dscnn_bn": {"Conv": 9, "Relu": 9, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1, "Softmax": 1},
    "mlperf_strww_bn": {"Conv": 8, "Relu": 4, "Transpose": 1, "Reshape": 1, "Gemm": 1, "Softmax": 1},
    "mlperf_ad01_bn": {"Gemm": 10, "Relu": 9},
    "mnist_cntk": {"Conv": 2, "Relu": 2, "MaxPool": 2, "Reshape": 1, "Gemm": 1},
}
# Noise drives the output of the first to nothing; the second fixes the sizes of its inputs only as it runs.
PARTICULAR = ("ppocr_v3_det", "silero_vad_16k_op15")
GONE = {"Constant", "Identity", "Dropout", "BatchNormalization", "Sum", "Div"}


def all_passes(model: ir.Model) -> int:
    return sum(prepare(model).values())


def test_the_passes_together() -> None:
    constants: dict[str, NDArray[Any]] = {
        "w": rand(4, 3, 3, 3),
        "gamma": rand(4),
        "beta": rand(4, seed=1),
        "mean": rand(4, seed=2),
        "var": positive(4),
        "three": np.array(3, np.float32),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
        "pads": ints(0, 0, 1, 1, 0, 0, 1, 1),
        "axes": ints(2, 3),
        "v": rand(4, 5),
        "u": rand(5),
    }
    nodes = [
        node("Pad", "x pads", "p"),
        node("Conv", "p w", "c", auto_pad="VALID"),
        node("BatchNormalization", "c gamma beta mean var", "b"),
        node("Add", "b three", "s"),
        node("Min", "s six", "m"),
        node("Max", "m zero", "k"),
        node("Mul", "b k", "q"),
        node("Div", "q six", "h"),
        node("ReduceMean", "h axes", "r", keepdims=0),
        node("Dropout", "r", "d"),
        node("MatMul", "d v", "f"),
        node("Add", "f u", "y"),
    ]
    model = graph(nodes, {"x": ("N", 3, 6, 6)}, "y", constants)
    assert changes(all_passes, model) > 0
    assert ops(model) == ["Conv", "HardSwish", "GlobalAveragePool", "Squeeze", "Gemm"]
    assert [step.name for step in model.graph][::4] == ["node_c", "node_f"]
    assert all_passes(model) == 0


def test_a_shared_weight_with_a_folded_norm_is_two_weights() -> None:
    constants = {"w": rand(3, 3, 1, 1), "k": positive(3, 1, 1)}
    nodes = [node("Conv", "x w", "a"), node("Mul", "a k", "b"), node("Conv", "b w", "c"), node("Conv", "c w", "y")]
    model = graph(nodes, {"x": (1, 3, 4, 4)}, "y", constants)
    assert changes(all_passes, model) > 0
    assert len({step.inputs[1] for step in model.graph}) == 3


def test_an_input_that_is_normalised_goes_into_the_first_layer() -> None:
    constants = {"m": rand(3, 1, 1), "s": positive(3, 1, 1), "w": rand(4, 3, 3, 3)}
    nodes = [node("Sub", "x m", "a"), node("Div", "a s", "b"), node("Conv", "b w", "y")]
    model = graph(nodes, {"x": ("N", 3, "H", "W")}, "y", constants)
    assert changes(all_passes, model, unknown=6) > 0
    assert ops(model) == ["Conv"]


def test_preparation_is_the_same_every_time(zoo: Path) -> None:
    texts = []
    for _ in range(2):
        model = load(zoo / "models" / "ultraface_rfb320.onnx").ir
        prepare(model)
        texts.append(ir.to_proto(model).SerializeToString(deterministic=True))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_networks_become_what_is_expected(zoo: Path, name: str) -> None:
    model = load(zoo / "models" / f"{name}.onnx").ir
    prepare(model)
    assert Counter(ops(model)) == HISTOGRAMS[name]


def files(folder: str) -> list[str]:
    """The models of a folder of the zoo, which need not be there."""
    zoo = os.environ.get("QCONV_ZOO", Path(__file__).parents[2] / ".." / "shared" / "zoo")
    return sorted(path.stem for path in (Path(zoo) / folder).glob("*.onnx")) or ["absent"]


@pytest.mark.parametrize("name", files("models"))
def test_networks_compute_the_same(zoo: Path, name: str) -> None:
    path = zoo / "models" / f"{name}.onnx"
    model = load(path).ir
    prepare(model)
    assert not GONE & set(ops(model)) or name == "magika_v3_3"
    assert largest_relative_difference(path, model, real_feeds(zoo, name) or [random_feed(path)]) < TOLERANCE
    check_canonical(model)


@pytest.mark.parametrize("name", files("struct"))
def test_odd_networks_compute_the_same(zoo: Path, name: str) -> None:
    path = zoo / "struct" / f"{name}.onnx"
    try:
        model = load(path).ir
    except ModelError:
        pytest.skip("refused on loading")
    prepare(model)
    assert largest_relative_difference(path, model, [random_feed(path)]) < TOLERANCE
    check_canonical(model)


def check_canonical(model: ir.Model) -> None:
    """What later stages rely on, for every node."""
    weights = [
        value for step in model.graph if step.op_type in ("Conv", "Gemm") for value in step.inputs[1:] if value is not None
    ]
    constants = [value for value in weights if const_array(value) is not None]
    assert len(set(constants)) == len(constants)
    names = [step.name for step in model.graph]
    assert all(names) and len(set(names)) == len(names)
    for step in model.graph:
        if step.op_type == "Gemm":
            assert attr_float(step, "alpha", 1.0) == attr_float(step, "beta", 1.0) == 1.0


def real_feeds(zoo: Path, name: str) -> list[dict[str, NDArray[Any]]]:
    """Two samples as the network is meant to be fed; none where noise serves."""
    spec = importlib.util.spec_from_file_location("zoo", zoo / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.feeds(name, "calib", 2)) if name in PARTICULAR else []


def random_feed(path: Path) -> dict[str, NDArray[Any]]:
    """Numbers of the right type and shape; unknown sizes are 1 on axis 0, 64 elsewhere."""
    rng = np.random.default_rng(0)
    feed: dict[str, NDArray[Any]] = {}
    for value in open_session(path).get_inputs():
        shape = [size if isinstance(size, int) else (64 if axis else 1) for axis, size in enumerate(value.shape)]
        match value.type:
            case "tensor(float)":
                feed[value.name] = rng.standard_normal(shape).astype(np.float32)
            case "tensor(int64)":
                feed[value.name] = rng.integers(0, 2, shape)
            case "tensor(int32)":
                feed[value.name] = rng.integers(0, 256, shape).astype(np.int32)
            case "tensor(bool)":
                feed[value.name] = np.ones(shape, np.bool_)
    return feed
