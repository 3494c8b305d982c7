"""Ordinary models that were refused once, or ended in a defect: each goes through calibrate, quantize and verify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import DataError
from qconv.integer.language.audit import audit
from qconv.model.session import open_session
from tests.lower.harness import Array, Given, normal


def converted(folder: Path, text: str, weights: Mapping[str, Array], feeds: list[dict[str, Array]]) -> tuple[float, Path]:
    """The worst SQNR of the outputs in dB, and the integer model."""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    path, target = folder / "m.onnx", folder / "m.int8.onnx"
    onnx.save(proto, path)
    loaded = pipeline.load_prepared(path)
    pipeline.self_check(loaded, Given(feeds))
    calibration = pipeline.calibrate(loaded, Given(feeds))
    pipeline.quantize(path, calibration, config=QuantConfig()).save(target)
    report = pipeline.verify(path, target, Given(feeds))
    return min((output.similarity.sqnr_db for output in report.outputs), default=np.inf), target


HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
CONV = {"w": normal(4, 3, 3, 3), "b": normal(4)}


def pictures(count: int = 3) -> list[dict[str, Array]]:
    return [{"x": normal(1, 3, 8, 8, seed=i)} for i in range(count)]


def test_pixels_of_8_bits_are_taken_as_they_are_and_their_cast_is_no_float_node(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)} for _ in range(3)]
    text = f"{HEAD} g (uint8[1,3,8,8] x) => (float[1,4,6,6] y) {{ c = Cast<to=1>(x) y = Conv(c, w, b) }}"
    db, path = converted(tmp_path, text, CONV, feeds)
    assert db > 35 and audit(path).integer_only


def test_classes_of_8_bits_are_taken_as_they_are(tmp_path: Path) -> None:
    body = "c = Conv(x, w, b) a = ArgMax<axis=1, keepdims=0>(c) y = Cast<to=2>(a)"
    text = f"{HEAD} g (float[1,3,8,8] x) => (uint8[1,6,6] y) {{ {body} }}"
    assert converted(tmp_path, text, CONV, pictures())[0] > 10


def test_a_size_of_minus_one_is_unknown(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[1,3,8,8] x) => (float[1,4,6,6] y) {{ y = Conv(x, w, b) }}"
    proto = onnx.parser.parse_model(text)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert converted(tmp_path, onnx.printer.to_text(proto), CONV, pictures())[0] > 30


def test_a_declared_shape_that_contradicts_the_graph_is_not_believed(tmp_path: Path) -> None:
    body = "f = Reshape(c, s) y = Relu(f)"
    text = f"{HEAD} g (float[1,3,8,8] x) => (float[1,n] y) {{ c = Conv(x, w, b) {body} }}"
    assert converted(tmp_path, text, {**CONV, "s": np.asarray([4, 6, 6])}, pictures())[0] > 30


def test_an_output_of_unknown_rank_and_a_constant_one(tmp_path: Path) -> None:
    body = "c = Conv(x, w, b) h = Shape(x) s = Cast<to=1>(h) y = Squeeze(c)"
    text = f"{HEAD} g (float[N,3,8,8] x) => (float y, float[4] s) {{ {body} }}"
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert converted(tmp_path, onnx.printer.to_text(proto), CONV, pictures())[0] > 30


NOTHING = {"none": np.asarray([0, 0]), "places": np.asarray([2, 3])}


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("y = Add(e, c)", {"c": np.asarray(0.5, np.float32)}),
        ("y = Mul(e, e)", {}),
        ("p = Pad(e, pads) y = Conv(p, w)", {"pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "w": normal(4, 3, 2, 2)}),
        ("s = Sigmoid(e) y = Concat<axis=3>(s, s)", {}),
    ],
)
def test_what_is_empty_in_a_run_stays_in_float_where_integer_kernels_do_not_bear_it(
    tmp_path: Path, body: str, weights: Mapping[str, Array]
) -> None:
    whole = f"e = Slice(x, none, none, places) {body} r = Relu(x)"
    text = f"{HEAD} g (float[N,3,H,W] x) => (float[N,q,o,p] y, float[N,3,H,W] r) {{ {whole} }}"
    assert converted(tmp_path, text, {**NOTHING, **weights}, pictures())[0] > 30


def test_a_layer_without_channels_is_not_split(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[1,3,8,8] x) => (float[1,0,8,8] y) {{ e = Slice(x, zero, zero, one) y = LRN<size=3>(e) }}"
    feeds = {"zero": np.asarray([0]), "one": np.asarray([1])}
    assert converted(tmp_path, text, feeds, pictures())[0] == np.inf


def test_a_last_quantizer_without_a_zero_point(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[1,3,8,8] x) => (uint8[1,3,8,8] y) {{ a = Abs(x) y = QuantizeLinear(a, s) }}"
    assert converted(tmp_path, text, {"s": np.asarray(0.02, np.float32)}, pictures())[0] > 30


def test_tensors_without_elements_do_not_end_the_process(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[1,0] x) => (float[1,0] y) {{ y = Mul(c, x) }}"
    feeds = [{"x": np.zeros((1, 0), np.float32)}]
    assert converted(tmp_path, text, {"c": np.zeros((1, 0), np.float32)}, feeds)[0] == np.inf


def test_types_behind_an_op_of_onnxruntime_are_asked_of_it(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[2,4] x) => (float[2,3] y) {{ g = com.microsoft.Gelu(x) y = MatMul(g, w) }}"
    feeds = [{"x": normal(2, 4, seed=i)} for i in range(3)]
    assert converted(tmp_path, text, {"w": normal(4, 3)}, feeds)[0] > 30


@pytest.mark.parametrize("scale", [True, False])
def test_a_resize_along_some_axes(tmp_path: Path, scale: bool) -> None:
    given = {"s": np.asarray([2, 2], np.float32)} if scale else {"s": np.asarray([12, 12])}
    inputs = 'c, "", s' if scale else 'c, "", "", s'
    head = '<ir_version: 10, opset_import: ["" : 21]>'
    body = f'c = Conv(x, w, b) y = Resize<mode="linear", axes=[2,3]>({inputs})'.replace('""', "")
    text = f"{head} g (float[1,3,8,8] x) => (float[1,4,12,12] y) {{ {body} }}"
    assert converted(tmp_path, text, {**CONV, **given}, pictures())[0] > 30


def test_a_pad_that_reflects_does_not_read_its_value(tmp_path: Path) -> None:
    weights = {**CONV, "p": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.asarray(3, np.float32)}
    body = 'c = Conv(x, w, b) y = Pad<mode="reflect">(c, p, v)'
    assert converted(tmp_path, f"{HEAD} g (float[1,3,8,8] x) => (float[1,4,8,8] y) {{ {body} }}", weights, pictures())[0] > 30


def test_a_sample_that_the_model_cannot_run_is_named(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[1,4] x) => (float[1,4] y) {{ i = Cast<to=7>(x) y = Gather(t, i) }}"
    feeds = [{"x": np.full((1, 4), 7, np.float32)}]
    with pytest.raises(DataError, match="cannot run on sample 0"):
        converted(tmp_path, text, {"t": normal(2)}, feeds)


@pytest.mark.parametrize(("kind", "op"), [("int8", "Add"), ("uint16", "BitwiseAnd"), ("uint8", 'BitShift<direction="LEFT">')])
def test_a_model_without_float_tensors_stays_as_it_is(tmp_path: Path, kind: str, op: str) -> None:
    text = f"{HEAD.replace('17', '18')} g ({kind}[2,4] x) => ({kind}[2,4] y) {{ y = {op}(x, x) }}"
    feeds = [{"x": np.arange(8).reshape(2, 4).astype(kind)}]
    assert converted(tmp_path, text, {}, feeds)[0] == np.inf


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_inputs_and_outputs_of_other_floats_keep_their_type(tmp_path: Path, kind: str, dtype: type[np.floating]) -> None:
    text = f"{HEAD} g ({kind}[4,8] x) => ({kind}[4,6] y) {{ c = MatMul(x, w) y = Relu(c) }}"
    weights = {"w": normal(8, 6).astype(dtype)}
    feeds = [{"x": normal(4, 8, seed=i).astype(dtype)} for i in range(3)]
    db, path = converted(tmp_path, text, weights, feeds)
    assert db > 30 and audit(path).integer_only
    proto = onnx.load(path)
    expected = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    assert [info.type.tensor_type.elem_type for info in (*proto.graph.input, *proto.graph.output)] == [expected] * 2
    assert [info.name for info in (*proto.graph.input, *proto.graph.output)] == ["x", "y"]


def test_indices_of_a_pool_that_are_an_output(tmp_path: Path) -> None:
    body = "c = Conv(x, w, b) y, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c)"
    text = f"{HEAD} g (float[1,3,8,8] x) => (float[1,4,3,3] y, int64[1,4,3,3] i) {{ {body} }}"
    assert converted(tmp_path, text, CONV, pictures())[0] > 25


def test_a_mean_of_everything_is_a_scalar(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[1,3,8,8] x) => (float y, float z) {{ y = ReduceMean<keepdims=0>(x) z = ReduceSum<keepdims=0>(x) }}"
    _, path = converted(tmp_path, text, {}, pictures())
    assert [info.shape for info in open_session(path).get_outputs()] == [[], []]


def test_a_power_of_integers_stays_as_it_is(tmp_path: Path) -> None:
    text = f"{HEAD} g (int64[3] n, float[3] x) => (int64[3] y, float[3] z) {{ y = Pow(n, x) z = Neg(x) }}"
    feeds: list[dict[str, Array]] = [{"n": np.arange(1, 4), "x": np.asarray([2, 0, factor], np.float32)} for factor in (1, 3)]
    assert converted(tmp_path, text, {}, feeds)[0] > 30


def test_a_resize_by_factors_that_are_an_input(tmp_path: Path) -> None:
    text = f'{HEAD} g (float[1,3,8,8] x, float[4] s) => (float[1,3,4,4] y) {{ y = Resize<mode="linear">(x, , s) }}'
    feeds = [feed | {"s": np.asarray([1, 1, 0.55, 0.6], np.float32)} for feed in pictures()]
    assert converted(tmp_path, text, {}, feeds)[0] > 30


def test_a_model_of_trees_alone_stays_as_it_is(tmp_path: Path) -> None:
    head = '<ir_version: 8, opset_import: ["ai.onnx.ml" : 3]>'
    text = f"{head} g (float[1,4] x) => (float[1,4] y) {{ y = ai.onnx.ml.Scaler<offset=[1.0], scale=[2.0]>(x) }}"
    assert converted(tmp_path, text, {}, [{"x": normal(1, 4)}])[0] == np.inf


def test_boxes_whose_number_differs_are_told_and_not_compared(tmp_path: Path) -> None:
    body = (
        "b = MatMul(x, w) s = MatMul(x, v) t = Transpose<perm=[0,2,1]>(s) n = NonMaxSuppression(b, t, most, overlap, least) "
        "c = Cast<to=1>(n) y = Relu(c)"
    )
    text = f"{HEAD} g (float[1,60,8] x) => (float[M,3] y) {{ {body} }}"
    numbers = {"most": np.asarray([60]), "overlap": np.asarray(0.9, np.float32), "least": np.asarray(0, np.float32)}
    feeds = [{"x": normal(1, 60, 8, seed=i)} for i in range(4)]
    _, path = converted(tmp_path, text, {"w": normal(8, 4), "v": normal(8, 2, seed=5), **numbers}, feeds)
    report = pipeline.verify(path.with_name("m.onnx"), path, Given(feeds))
    assert report.outputs[0].unlike and any("another size" in warning for warning in report.warnings)


def test_a_sequence_of_parts(tmp_path: Path) -> None:
    body = "c = Conv(x, w, b) s = SplitToSequence<axis=1>(c) y = SequenceAt(s, one)"
    text = f"{HEAD} g (float[1,3,8,8] x) => (float[1,1,6,6] y) {{ {body} }}"
    assert converted(tmp_path, text, {**CONV, "one": np.array(1)}, pictures())[0] > 25
