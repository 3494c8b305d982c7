"""TFLite: what is written runs in LiteRT and gives the codes of the integer model, up to its own roundings."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qconv import QuantConfig, pipeline
from qconv.cli.main import run
from qconv.errors import FloatNodesError
from qconv.model.load import load
from qconv.verify.measure.sides import Side
from tests.lower.harness import Array, normal, write_model

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="no LiteRT here")
pytest.importorskip("tflite", reason="no package tflite here")
compare = importlib.import_module("benchmarks.litert").compare


def exported(model: Path, folder: Path, feeds: list[dict[str, Array]], config: QuantConfig = QuantConfig(effort="none")) -> Path:
    """The integer model of a float model, calibrated on `feeds`, and beside it the TFLite file."""
    data = folder / "data.npz"
    np.savez(data, **{name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]})  # type: ignore[arg-type]
    target = folder / "m.int8.onnx"
    pipeline.quantize(model, pipeline.calibrate(model, str(data), config=config), config=config).save(target)
    pipeline.export(target, "tflite", target.with_suffix(".tflite"))
    return target


def interpreter(path: Path) -> Any:
    found = litert.Interpreter(str(path.with_suffix(".tflite")), num_threads=1)
    found.allocate_tensors()
    return found


def codes_of(details: Any, reals: Array) -> Array:
    (scale, zero_point), limits = details["quantization"], np.iinfo(details["dtype"])
    codes: Array = np.clip(np.rint(reals / np.float32(scale)) + zero_point, limits.min, limits.max).astype(limits.dtype)
    return codes


def differences(target: Path, feeds: list[dict[str, Array]]) -> Array:
    """Between the output codes of both, over all samples."""
    lite, side, found = interpreter(target), Side(target), []
    for feed in feeds:
        for details, array in zip(lite.get_input_details(), feed.values(), strict=True):
            codes = codes_of(details, array)
            lite.set_tensor(details["index"], codes.transpose(0, 2, 3, 1) if codes.ndim == 4 else codes)
        lite.invoke()
        for details, reals in zip(lite.get_output_details(), side.run(feed), strict=True):
            codes = lite.get_tensor(details["index"])
            wanted = codes_of(details, reals)
            codes = codes.transpose(0, 3, 1, 2) if codes.ndim == 4 else codes  # pictures have their channels last
            found.append(codes.reshape(-1).astype(int) - wanted.reshape(-1))
    return np.concatenate(found)


BODIES = {
    "strides and pads": "c = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w) y = Relu(c)",
    "same": "y = Conv<pads=[1,1,1,1]>(x, w)",
    "dilations": "y = Conv<dilations=[2,2], pads=[2,2,2,2]>(x, w)",
    "depthwise": "y = Conv<group=4, pads=[1,1,1,1]>(x, d)",
    "pools": "a = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) y = AveragePool<kernel_shape=[2,2]>(a)",
    "padded pool": "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
    "sum": "a = Conv<pads=[1,1,1,1]>(x, w) b = Conv<pads=[1,1,1,1]>(x, v) s = Add(a, b) y = Relu(s)",
    "product": "a = Conv<pads=[1,1,1,1]>(x, w) y = Mul(a, x)",
    "gate": "g = GlobalAveragePool(x) s = Sigmoid(g) y = Mul(x, s)",
    "dense": "g = GlobalAveragePool(x) f = Flatten(g) m = Gemm(f, k, l) y = Softmax<axis=1>(m)",
    "flattened picture": "c = Conv(x, w) f = Flatten(c) y = MatMul(f, n)",
    "joined": "a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(x) y = Concat<axis=1>(a, b)",
    "clamped": "a = Conv<pads=[1,1,1,1]>(x, w) y = Clip(a, lo, hi)",
    "pad and slice": "p = Pad(x, pads) y = Slice(p, one, five, two)",
    "leaky": "a = Conv(x, w) y = LeakyRelu<alpha=0.1>(a)",
    "table": "y = Tanh(x)",
    "sigmoid": "y = Sigmoid(x)",
    "hard swish": "a = Conv<pads=[1,1,1,1]>(x, w) y = HardSwish(a)",
    "difference": "a = Conv<pads=[1,1,1,1]>(x, w) y = Sub(a, x)",
    "quotient": "a = Sigmoid(x) b = Conv<pads=[1,1,1,1]>(x, w) y = Div(b, a)",
    "norm": "r = Reshape(x, rows) y = LayerNormalization<axis=-1>(r, g, h)",
    "long norm": "r = Reshape(x, long) y = LayerNormalization<axis=-1>(r, many)",
    "attention": "r = Reshape(x, rows) q = MatMul(r, p) t = Transpose<perm=[0,2,1]>(r) s = MatMul(q, t) "
    "o = Softmax<axis=-1>(s) y = MatMul(o, r)",
    "chosen": "a = Conv<pads=[1,1,1,1]>(x, w) c = Greater(a, x) y = Where(c, a, x)",
    "nearest": 'a = Conv<pads=[1,1,1,1]>(x, w) y = Resize<mode="nearest">(a, , scales)',
    "depth to space": "a = Conv<pads=[1,1,1,1]>(x, w) y = DepthToSpace<blocksize=2>(a)",
    "depth to space by columns": "a = Conv<pads=[1,1,1,1]>(x, w) c = Concat<axis=1>(a, x) "
    'y = DepthToSpace<blocksize=2, mode="CRD">(c)',
    "parts": "a = Conv<pads=[1,1,1,1]>(x, w) b, y = Split<axis=1, num_outputs=2>(a)",
    "maxima": "a = Conv<pads=[1,1,1,1]>(x, w) y = ReduceMax<keepdims=1>(a, axes)",
    "transposed convolution": "y = ConvTranspose<strides=[2,2]>(x, u)",
    "row": "r = Reshape(x, row) y = Conv<strides=[2], pads=[1,1]>(r, e)",
    "mirrored": 'a = Conv(x, w) y = Pad<mode="reflect">(a, pads)',
    "a shape": "c = Conv<pads=[1,1,1,1]>(x, w) s = Shape(x) r = Reshape(c, flat) y = Reshape(r, s)",
    "transposes": "c = Conv(x, w) t = Transpose<perm=[0,2,3,1]>(c) y = Reshape(t, flat)",
}
CONSTANTS: dict[str, Array] = {
    "w": normal(4, 4, 3, 3), "v": normal(4, 4, 3, 3, seed=2), "d": normal(4, 1, 3, 3), "k": normal(4, 5), "l": normal(5),
    "n": normal(144, 3), "lo": np.asarray(-2, np.float32), "hi": np.asarray(3, np.float32), "one": np.array([1]),
    "five": np.array([5]), "two": np.array([2]), "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "flat": np.array([1, -1]),
    "rows": np.array([1, 32, 8]), "row": np.array([1, 4, 64]), "g": normal(8), "h": normal(8, seed=3), "p": normal(8, 8),
    "scales": np.asarray([1, 1, 2, 2], np.float32), "axes": np.array([2, 3]), "u": normal(4, 4, 2, 2), "e": normal(5, 4, 3),
    "long": np.array([1, 1, 256]), "many": normal(256, seed=4),
}  # fmt: skip
RANKS = {"dense": 2, "flattened picture": 2, "transposes": 2, "norm": 3, "long norm": 3, "attention": 3, "row": 3}


@pytest.mark.parametrize("name", BODIES)
def test_operators(name: str, tmp_path: Path) -> None:
    """At most one code in a hundred differs, by one: LiteRT's own rounding."""
    body = BODIES[name]
    used = {key: value for key, value in CONSTANTS.items() if f" {key}," in body or f" {key})" in body}
    sizes = ",".join("abcd"[: RANKS.get(name, 4)])
    model = write_model(tmp_path / "m.onnx", f"g (float[1,4,8,8] x) => (float[{sizes}] y) {{ {body} }}", used)
    feeds = [{"x": normal(1, 4, 8, 8, seed=seed)} for seed in range(8)]
    found = differences(exported(model, tmp_path, feeds), feeds)
    assert np.abs(found).max() <= (2 if name == "attention" else 1)  # three products, one after the other
    # Means and products of two activations have multipliers with other last bits, and the codes of probabilities few values.
    assert np.mean(found != 0) <= {"dense": 0.05, "attention": 0.05}.get(name, 0.01)


def test_a_softmax_has_the_scale_that_its_reader_gives_it(sample_models: Path, tmp_path: Path) -> None:
    """The root of attention is a part of the scale that the Softmax has for codes of a product, which has another one itself."""
    images = np.load(sample_models / "digits_test.npz")["image"]
    target = exported(sample_models / "digits_vit.onnx", tmp_path, [{"image": images[:50]}])
    found = compare(target, str(tmp_path / "data.npz"), 5).by_op["QLinearSoftmax"]
    assert found.codes > 0 and found.most <= 1 and found.differing <= found.codes // 100  # LiteRT's own rounding


@pytest.mark.parametrize("name", ["digits_mobilenet", "digits_resnet", "digits_mlp"])
def test_sample_models_name_the_same_classes(name: str, sample_models: Path, tmp_path: Path) -> None:
    images = np.load(sample_models / "digits_test.npz")["image"]
    feeds = [{"image": images[index : index + 1]} for index in range(100)]
    target = exported(sample_models / f"{name}.onnx", tmp_path, feeds, QuantConfig())
    found = differences(target, feeds)
    (output,) = interpreter(target).get_output_details()
    one = 1 if output["dtype"] == np.int8 else 128  # steps of 16 bits that the scores would have as one of 8 bits
    # One code of a sum that LiteRT rounds otherwise moves many of the ten outputs of its sample, of which there are a hundred.
    assert np.abs(found).max() <= one and np.mean(2 * np.abs(found) > one) <= 0.02


def test_pictures_are_turned_only_where_they_must_be(sample_models: Path, tmp_path: Path) -> None:
    images = np.load(sample_models / "digits_test.npz")["image"]
    feeds = [{"image": images[index : index + 1]} for index in range(10)]
    lite = interpreter(exported(sample_models / "digits_mobilenet.onnx", tmp_path, feeds, QuantConfig()))
    names = [details["op_name"] for details in lite._get_ops_details()]
    assert "TRANSPOSE" not in names and "DEPTHWISE_CONV_2D" in names
    (entry,) = lite.get_input_details()
    assert list(entry["shape"]) == [1, 16, 16, 1] and entry["dtype"] == np.int8


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("r = Reshape(x, cube) y = Conv(r, v)", "three axes"),
        ("y = Softmax<axis=2>(x)", "along this axis"),
    ],
)
def test_what_tflite_lacks_is_refused_by_name(body: str, word: str, tmp_path: Path) -> None:
    constants: dict[str, Array] = {"cube": np.array([1, 1, 4, 8, 8]), "v": normal(2, 1, 2, 2, 2)} if "cube" in body else {}
    sizes = "a,b,c,d,e" if "cube" in body else "a,b,c,d"
    model = write_model(tmp_path / "m.onnx", f"g (float[1,4,8,8] x) => (float[{sizes}] y) {{ {body} }}", constants)
    with pytest.raises(FloatNodesError, match=word):
        exported(model, tmp_path, [{"x": normal(1, 4, 8, 8)}])


def test_parts_that_leave_apart_are_outputs_of_their_own(tmp_path: Path) -> None:
    body = "a = Conv(x, w) s = Sigmoid(a) b = Mul(a, hundred) y = Concat<axis=1>(s, b)"
    model = write_model(
        tmp_path / "m.onnx",
        f"g (float[1,4,8,8] x) => (float[1,8,6,6] y) {{ {body} }}",
        {"w": CONSTANTS["w"], "hundred": np.asarray(100, np.float32)},
    )
    lite = interpreter(exported(model, tmp_path, [{"x": normal(1, 4, 8, 8, seed=seed)} for seed in range(4)]))
    scales = sorted(entry["quantization"][0] for entry in lite.get_output_details())
    assert len(scales) == 2 and scales[1] > 10 * scales[0]


def test_a_float_node_behind_an_output_is_refused(tmp_path: Path) -> None:
    body = "a = Conv<pads=[1,1,1,1]>(x, w) y = Tanh(a)"
    graph = f"g (float[1,4,8,8] x) => (float[1,4,8,8] a, float[1,4,8,8] y) {{ {body} }}"
    model = write_model(tmp_path / "m.onnx", graph, {"w": CONSTANTS["w"]})
    with pytest.raises(FloatNodesError, match="Tanh"):
        exported(model, tmp_path, [{"x": normal(1, 4, 8, 8)}], QuantConfig(effort="none", exclude=["Tanh"]))


def test_the_differences_of_each_operator_are_counted(sample_models: Path, tmp_path: Path) -> None:
    images = np.load(sample_models / "digits_test.npz")["image"]
    target = exported(sample_models / "digits_se.onnx", tmp_path, [{"image": images[i : i + 1]} for i in range(4)])
    found = compare(target, str(tmp_path / "data.npz"), 4)
    assert (found.samples, found.classes, found.outputs.codes) == (4, 4, 40)
    assert found.by_op["QLinearConv"].codes > 200_000
    assert found.outputs.differing == 0
    assert all(count.differing <= 1e-4 * count.codes and count.most <= 1 for count in found.by_op.values())


def test_the_command_replaces_its_own_file_and_no_model(sample_models: Path, tmp_path: Path) -> None:
    images = np.load(sample_models / "digits_test.npz")["image"]
    target = exported(sample_models / "digits_mlp.onnx", tmp_path, [{"image": images[:1]}], QuantConfig())
    assert run(["export", str(target), "--to", "tflite"]) == 0
    assert run(["export", str(target), "--to", "tflite", "-o", str(target)]) == 7
    load(target)
