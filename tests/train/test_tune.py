"""A short training of an ONNX model, and graphs as modules of torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import qconv
from qconv.cli.main import run
from qconv.errors import ModelError
from qconv.model.session import open_session
from qconv.pipeline.prepared import load_prepared
from qconv.train.from_onnx import from_onnx
from tests.lower.harness import normal, write_model


@pytest.mark.parametrize("name", ["digits_mobilenet", "digits_resnet", "digits_se", "digits_mlp", "digits_yolo", "digits_vit"])
def test_a_graph_as_a_module_computes_the_same(name: str, sample_models: Path) -> None:
    graph = load_prepared(sample_models / f"{name}.onnx").ir
    x = np.load(sample_models / ("digits_scenes_test.npz" if name == "digits_yolo" else "digits_test.npz"))["image"][:8]
    with torch.no_grad():
        found = from_onnx(graph.graph).eval()(torch.from_numpy(x)).numpy()
    (wanted,) = open_session(graph).run(None, {"image": x})
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)  # float32 sums in another order


BODIES = {
    "uneven pads": "y = Conv<pads=[0,1,2,1]>(x, w)",
    "pools": "p = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x) y = AveragePool<kernel_shape=[2,2]>(p)",
    "uneven pools": """p = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[0,0,1,1]>(x)
        y = AveragePool<kernel_shape=[2,2], pads=[0,1,1,0], count_include_pad=1>(p)""",
    "movements": """s = Slice(x, one, five, two) a, b = Split<axis=1, num_outputs=2>(s) c = Concat<axis=2>(a, b)
        d = Transpose<perm=[0,2,3,1]>(c) y = Flatten<axis=2>(d)""",
    "functions": """a = Softmax<axis=1>(x) b = LeakyRelu<alpha=0.2>(x) c = Gelu(b) d = Clip(c, lo, hi) e = Mul(a, d)
        y = Sigmoid(e)""",
    "transposed": "y = ConvTranspose<strides=[2,1], pads=[1,0,0,1], output_padding=[1,0]>(x, w)",
    "repeats": """y = Resize<mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric">(x, , scales)""",
}
RANKS = {"movements": "a,b"}  # of the outputs, as sizes; the others have four
CONSTANTS = {
    "w": normal(4, 4, 3, 3), "one": np.array([1]), "five": np.array([5]), "two": np.array([2]), "lo": np.asarray(-1, np.float32),
    "hi": np.asarray(1, np.float32), "scales": np.array([1, 1, 2, 2], np.float32),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_operators(name: str, tmp_path: Path) -> None:
    used = {key: value for key, value in CONSTANTS.items() if f" {key}," in BODIES[name] or f" {key})" in BODIES[name]}
    text = f"g (float[2,4,6,6] x) => (float[{RANKS.get(name, 'a,b,c,d')}] y) {{ {BODIES[name]} }}"
    path = write_model(tmp_path / "m.onnx", text, used)
    graph = load_prepared(path).ir
    x = normal(2, 4, 6, 6)
    (wanted,) = open_session(graph).run(None, {"x": x})
    found = from_onnx(graph.graph)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)  # float32 sums in another order


SIZES = {
    "a Reshape and an Expand": """n = Shape<end=1>(x) s = Concat<axis=0>(n, minus, four) r = Reshape(x, s) h = Shape(r)
        d = Gather(h, one) e = Concat<axis=0>(n, d, one) c = Expand(t, e) f = Expand(c, h) y = Add(r, f)""",
    "places of a table": """l = Shape(x) n = Gather(l, zero) i = Range(zero, n, unit) e = Gather(k, i) u = Unsqueeze(e, two)
        v = Cast<to=1>(u) y = Add(x, v)""",
    "a root of a width": """l = Shape(x) w = Slice(l, one, two) f = Cast<to=1>(w) r = Sqrt(f) y = Div(x, r)""",
}
NUMBERS = {
    "minus": np.array([-1]), "one": np.array([1]), "two": np.array([2]), "four": np.array([4]), "zero": np.asarray(0),
    "unit": np.asarray(1), "t": normal(1, 1, 1), "k": normal(6, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_are_computed_stay_free(name: str, tmp_path: Path) -> None:
    used = {key: value for key, value in NUMBERS.items() if f" {key}," in SIZES[name] or f"({key}," in SIZES[name]
            or f" {key})" in SIZES[name]}  # fmt: skip
    path = write_model(tmp_path / "m.onnx", f"g (float[N,6,4] x) => (float[a,b,c] y) {{ {SIZES[name]} }}", used)
    graph = load_prepared(path).ir
    module = from_onnx(graph.graph)
    for count in (1, 3):
        x = normal(count, 6, 4)
        (wanted,) = open_session(graph).run(None, {"x": x})
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), wanted, rtol=1e-5)  # float32 divides otherwise


def test_a_recurrent_layer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    weights = {"w": normal(1, 16, 3), "r": normal(1, 16, 4)}
    text = "g (float[5,1,3] x) => (float[5,1,1,4] y) { y = LSTM<hidden_size=4>(x, w, r) }"
    with pytest.raises(ModelError, match=r"is recurrent, .* `qconv quantize` makes it integer without training"):
        from_onnx(load_prepared(write_model(tmp_path / "m.onnx", text, weights)).ir.graph)


def test_an_operator_without_a_counterpart(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", "g (float[1,4] x) => (float[1,4] y) { y = Hardmax(x) }", {})
    with pytest.raises(ModelError, match=r"no counterpart in torch here; train the network from its source"):
        from_onnx(load_prepared(path).ir.graph)


def test_the_command_trains_and_says_what_it_gained(
    sample_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = str(sample_models / "digits_mobilenet.onnx"), str(sample_models / "digits_calib.npz")
    trained = tmp_path / "t.onnx"
    assert run(["train", model, "--data", data, "--bits", "4", "--steps", "60", "-o", str(trained)]) == 0
    told = capsys.readouterr().out
    before, after = (float(number) for number in told.split("held back, ")[1].split(" dB")[0].split(" -> "))
    assert after >= before > 10  # it begins where recovery ends, and never ends worse
    result = qconv.quantize(trained, qconv.calibrate(trained))
    assert result.imported[0] == "used 26 of 26 scales that were given"
    result.save(tmp_path / "t.int8.onnx")
    report = qconv.verify(model, tmp_path / "t.int8.onnx", str(sample_models / "digits_test.npz"))
    assert report.accuracy is not None and report.accuracy.integer_top1 > 0.95


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--data", "missing.npz"], 4)])
def test_training_without_samples(arguments: list[str], status: int, sample_models: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.onnx"
    assert run(["train", str(sample_models / "digits_mlp.onnx"), *arguments, "-o", str(output)]) == status
    assert not output.exists()
