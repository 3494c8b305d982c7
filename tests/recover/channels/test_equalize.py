"""Networks whose channels differ in range: a scale for each channel where it gains, in the plan, and exact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import ArtifactError
from qconv.integer.execution.compare import mismatches
from qconv.plan.quant_plan import QuantPlan
from tests.lower.harness import Array, Given, Result, normal, write_model

SPREAD = np.geomspace(1.0, 300.0, 16).astype(np.float32)
STEM: Array = normal(16, 3, 3, 3) * SPREAD[:, None, None, None]
UNDO: Array = normal(16, 1, 3, 3, seed=1) / SPREAD[:, None, None, None]
BEHIND = {
    "relu": "r = Relu(a) y = Conv<group=16>(r, d)",
    "silu": "s = Sigmoid(a) r = Mul(a, s) y = Conv<group=16>(r, d)",
    "hard swish": "r = HardSwish(a) y = Conv<group=16>(r, d)",
    "pooled": "q = Relu(a) r = AveragePool<kernel_shape=[2,2]>(q) y = Conv<group=16>(r, d)",
}
FEEDS = [{"x": normal(1, 3, 10, 10, seed=seed)} for seed in range(32)]


def _quantized(
    folder: Path,
    text: str,
    weights: Mapping[str, Array],
    feeds: Sequence[Mapping[str, Array]],
    effort: str,
    *,
    per_tensor: bool = False,
) -> Result:
    path = write_model(folder / "m.onnx", text, weights)
    config = QuantConfig(effort=effort, per_tensor=per_tensor)  # type: ignore[arg-type]
    calibration = pipeline.calibrate(path, Given(feeds[::2]), config=config)
    result = pipeline.quantize(path, calibration, config=config, samples=Given(feeds[::2]))
    return Result(path, result, feeds[1::2])


@pytest.mark.parametrize("name", BEHIND)
def test_a_depthwise_layer_that_reads_channels_far_apart(name: str, tmp_path: Path) -> None:
    size = 5 if name == "pooled" else 6
    text = f"g (float[1,3,10,10] x) => (float[1,16,{size},{size}] y) {{ a = Conv(x, w) {BEHIND[name]} }}"
    weights = {"w": STEM, "d": UNDO}
    without, with_scales = (_quantized(tmp_path, text, weights, FEEDS, effort) for effort in ("none", "fast"))
    assert without.sqnr_db() < 20.0
    assert with_scales.sqnr_db() > 25.0
    with_scales.assert_exact()
    assert with_scales.quantized.audit.float_nodes == ()


def test_inputs_and_outputs_in_units_far_apart(tmp_path: Path) -> None:
    """Rows of a table: each column has a scale of its own at the QuantizeLinear, and each result at the DequantizeLinear."""
    units = np.geomspace(1e-2, 1e3, 8).astype(np.float32)
    weights = {"w": normal(8, 16) / units[:, None], "b": normal(16), "v": normal(16, 4, seed=2) * units[::2]}
    text = "g (float[1,8] x) => (float[1,4] y) { a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }"
    feeds = [{"x": normal(1, 8, seed=seed) * units} for seed in range(200)]
    without, with_scales = (_quantized(tmp_path, text, weights, feeds, effort) for effort in ("none", "fast"))
    with_scales.assert_exact()
    assert with_scales.ops == ["QuantizeLinear", "QGemm", "QLinearMatMul", "DequantizeLinear"]
    assert _worst_column_db(with_scales) > 20.0 > _worst_column_db(without) + 10.0


def _worst_column_db(result: Result) -> float:
    from qconv.integer.execution.executor import Executor
    from qconv.integer.program import Program
    from qconv.model.session import open_session

    session, executor = open_session(result.path), Executor(Program.read(result.quantized.model))
    pairs = [(session.run(None, feed)[0], executor.run(feed)["y"]) for feed in result.feeds]
    exact, found = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    return float((10 * np.log10((exact**2).sum(axis=0) / ((exact - found) ** 2).sum(axis=0))).min())


def test_a_saved_plan_gives_the_same_model(tmp_path: Path) -> None:
    text = f"g (float[1,3,10,10] x) => (float[1,16,6,6] y) {{ a = Conv(x, w) {BEHIND['silu']} }}"
    made = _quantized(tmp_path, text, {"w": STEM, "d": UNDO}, FEEDS, "fast")
    plan = made.quantized.plan
    assert plan.channel_scales
    again = QuantPlan.from_json(json.loads(plan.dumps()))
    calibration = pipeline.calibrate(made.path, Given(FEEDS[::2]))
    remade = pipeline.quantize(made.path, calibration, plan=again)
    assert remade.plan.dumps() == plan.dumps()
    for name, array in made.values().items():
        assert np.array_equal(array, _values(remade, made.feeds[0])[name]), name
    assert mismatches(remade.model, made.feeds[0]) == []


def _values(quantized: pipeline.Quantized, feed: Mapping[str, Array]) -> dict[str, Array]:
    from qconv.integer.execution.executor import Executor
    from qconv.integer.program import Program

    return Executor(Program.read(quantized.model)).run(feed)


@pytest.mark.parametrize(
    "entry",
    [{"axis": 1, "factors": [0.5, -1.0]}, {"axis": -1, "factors": [1.0]}, {"factors": [1.0]}, [1.0], {"axis": 1, "factors": "x"}],
)
def test_damaged_scales_in_a_plan_file_are_told_of(entry: object) -> None:
    with pytest.raises(ArtifactError, match="channel scales of tensor t"):
        QuantPlan.from_json({"format": "qconv-plan-1", "tensors": {}, "channel_scales": {"t": entry}})


def test_alike_channels_have_one_scale(tmp_path: Path) -> None:
    text = "g (float[1,3,10,10] x) => (float[1,4,8,8] y) { y = Conv(x, w) }"
    made = _quantized(tmp_path, text, {"w": normal(4, 3, 3, 3)}, FEEDS, "fast")
    assert made.quantized.plan.channel_scales == {}


def test_one_scale_for_each_weight_shares_its_step_among_the_outputs(tmp_path: Path) -> None:
    """Outputs whose weights differ a hundredfold: their factors make the rows of the weight alike."""
    rows = np.geomspace(1.0, 0.01, 8).astype(np.float32)
    weights: dict[str, Array] = {
        "w": normal(8, 3, 3, 3) * rows[:, None, None, None],
        "v": normal(4, 8, 1, 1, seed=1) / rows[:, None, None],
    }
    text = "g (float[1,3,10,10] x) => (float[1,4,8,8] y) { a = Conv(x, w) r = Relu(a) y = Conv(r, v) }"
    without, with_scales = (_quantized(tmp_path, text, weights, FEEDS, effort, per_tensor=True) for effort in ("none", "fast"))
    with_scales.assert_exact()
    assert all(params.axis is None for params in with_scales.quantized.plan.tensors.values())
    assert with_scales.sqnr_db() > without.sqnr_db() + 10.0
