"""Rows times weights of a layer are what onnxruntime computes, for every form; and weights come back as they were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import pytest

from qconv.model.session import open_session
from qconv.recover.layers import layer_of


@dataclass(frozen=True)
class Form:
    body: str
    x: tuple[int, ...]
    w: tuple[int, ...]


FORMS = {
    "Conv": Form("Conv(x, w)", (2, 4, 6, 6), (3, 4, 3, 3)),
    "Conv, strides, pads, dilations": Form(
        "Conv<strides=[2,1], pads=[1,0,2,1], dilations=[1,2]>(x, w)", (2, 4, 7, 8), (3, 4, 3, 3)
    ),
    "Conv, a first layer that tuning pads": Form("Conv(x, w)", (1, 3, 6, 6), (4, 3, 3, 3)),
    "Conv, groups": Form("Conv<group=2>(x, w)", (2, 4, 6, 6), (6, 2, 3, 3)),
    "Conv, depthwise": Form("Conv<group=4, pads=[1,1,1,1]>(x, w)", (2, 4, 6, 6), (4, 1, 3, 3)),
    "Conv of lines": Form("Conv<strides=[2]>(x, w)", (2, 4, 9), (3, 4, 3)),
    "Conv of volumes": Form("Conv(x, w)", (1, 2, 4, 4, 4), (3, 2, 2, 2, 2)),
    "Gemm": Form("Gemm(x, w)", (5, 6), (6, 4)),
    "Gemm, transposed": Form("Gemm<transB=1>(x, w)", (5, 6), (4, 6)),
    "MatMul": Form("MatMul(x, w)", (2, 5, 6), (6, 4)),
}


def _model(form: Form, weight: np.ndarray) -> ir.Model:
    shape = ",".join(map(str, form.x))
    model = ir.from_onnx_text(
        f'<ir_version: 10, opset_import: ["" : 21]> g (float[{shape}] x) => (float y) {{ y = {form.body} }}'
    )
    value = ir.Value(name="w", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(weight.shape), const_value=ir.tensor(weight))
    model.graph.register_initializer(value)
    model.graph[0].replace_input_with(1, value)
    return model


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_rows_times_weights_are_the_outputs(form: Form) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-9, 10, form.w).astype(np.float32)
    x = rng.integers(0, 20, form.x).astype(np.uint8)
    model = _model(form, weight)
    layer = layer_of(model.graph[0])
    assert layer is not None
    (y,) = open_session(model).run(None, {"x": x.astype(np.float32)})
    weights = layer.weights(weight)
    assert weights.shape == (layer.groups, layer.columns, layer.outputs // layer.groups)
    assert np.array_equal(layer.weight(weights), weight)
    rows, outputs = layer.rows(x, y, 10**6, 0, rng)
    assert np.array_equal(rows.astype(np.float32) @ weights, outputs)  # whole numbers below 2^24
    few, _ = layer.rows(x, y, 3, 0, rng)
    assert few.shape[1] == 3


def test_padding_is_the_zero_point() -> None:
    form = FORMS["Conv, depthwise"]
    model = _model(form, np.ones(form.w, np.float32))
    layer = layer_of(model.graph[0])
    assert layer is not None
    rows, _ = layer.rows(np.zeros(form.x, np.uint8), np.zeros(form.x, np.float32), 10**6, 7, np.random.default_rng(0))
    assert set(np.unique(rows)) == {0, 7}
