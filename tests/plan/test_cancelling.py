"""What nearly cancels is computed in int32, or stays in float with the reason; what does not is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import FloatNodesError
from tests.lower.harness import Array, Given, normal

BALANCED = (kernel := normal(4, 4, 3, 3)) - kernel.mean((1, 2, 3), keepdims=True)
MATRIX = 20 * normal(16, 4)
# what it is: body, shape of x, constants, the middle of x, and the nodes in float
FORMS: dict[str, tuple[str, list[int], dict[str, Array], float, set[str]]] = {
    "difference to a constant": (
        "a = Sub(x, c) y = MatMul(a, w)", [8, 16], {"c": np.asarray(300, np.float32), "w": normal(16, 4)}, 300, set(),
    ),
    "a constant less it": (
        "a = Sub(c, x) y = MatMul(a, w)", [8, 16], {"c": np.asarray(-300, np.float32), "w": normal(16, 4)}, -300, set(),
    ),
    "layer whose weights add up to zero": ("y = Conv(x, w)", [1, 4, 10, 10], {"w": BALANCED}, 300, {"y"}),
    "layer before a clamp": ("a = Conv(x, w) y = Relu(a)", [1, 4, 10, 10], {"w": BALANCED}, 300, {"a"}),
    "difference of products": (
        "a = MatMul(x, w) b = MatMul(x, v) c = Sub(a, b) y = Relu(c)", [8, 16],
        {"w": MATRIX, "v": MATRIX + normal(16, 4, seed=3) / 10}, 0, {"a", "b", "c"},
    ),
    "ordinary layer and sum": (
        "a = MatMul(x, w) b = MatMul(x, v) y = Add(a, b)", [8, 16], {"w": normal(16, 4), "v": normal(16, 4, seed=1)}, 0, set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("integer_only", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_what_is_left_of_a_difference_is_good(name: str, integer_only: bool, tmp_path: Path) -> None:
    body, shape, constants, middle, in_float = FORMS[name]
    graph = onnx.parser.parse_graph(f"g (float{shape} x) => (float y) {{ {body} }}")
    graph.output[0].type.tensor_type.ClearField("shape")
    graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in constants.items())
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    samples = Given([{"x": normal(*shape, seed=seed) + np.float32(middle)} for seed in range(4)])
    calibration = pipeline.calibrate(pipeline.load_prepared(path), samples)
    config = QuantConfig(integer_only=integer_only, effort="none")
    if integer_only and "c" in in_float:  # no kernel adds codes whose steps are wider than the sum
        with pytest.raises(FloatNodesError, match="node: c"):
            pipeline.quantize(path, calibration, config=config)
        return
    made = pipeline.quantize(path, calibration, config=config)
    assert set(made.plan.float_nodes) == (set() if integer_only else in_float)
    assert in_float or not any("far from zero" in warning for warning in made.warnings)  # as the input has 16 bits
    made.save(tmp_path / "m.int8.onnx")
    report = pipeline.verify(path, tmp_path / "m.int8.onnx", samples)
    assert not report.exactness.mismatches
    assert report.outputs[0].similarity.sqnr_db > 30 or (in_float and integer_only and report.warnings)
