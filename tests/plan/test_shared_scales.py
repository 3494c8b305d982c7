"""Which tensors share parameters, and which of them calibration has to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.plan.make import make_plan, tensors_to_observe
from tests.lower.harness import Array, normal, write_model

CONV = {"w": normal(4, 4, 1, 1), "v": normal(4, 4, 1, 1, seed=1)}
LO_HI = {"lo": np.asarray(0, np.float32), "hi": np.asarray(6, np.float32)}


def observed(folder: Path, body: str, out: str = "1,4,6,6", weights: dict[str, Array] | None = None) -> list[str]:
    path = write_model(folder / "m.onnx", f"g (float[1,4,6,6] x) => (float[{out}] y) {{ {body} }}", weights or CONV)
    return tensors_to_observe(pipeline.load_prepared(path).ir.graph, QuantConfig())


def test_what_a_clamp_or_a_pool_implies_is_not_observed(tmp_path: Path) -> None:
    body = "c = Conv(x, w) r = Relu(c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) y = Conv(p, v)"
    assert observed(tmp_path, body, "1,4,3,3") == ["x", "p", "y"]


def test_a_tensor_with_another_reader_is_observed_and_implies_what_selects_from_it(tmp_path: Path) -> None:
    assert observed(tmp_path, "c = Conv(x, w) r = Relu(c) y = Add(c, r)") == ["x", "c", "y"]


PADS = [("", ", five", True), ("", "", False), ('<mode="edge">', ", five", False)]


@pytest.mark.parametrize(("attribute", "value", "brings"), PADS)
def test_a_pad_with_a_constant_brings_in_a_value_and_is_observed(
    tmp_path: Path, attribute: str, value: str, brings: bool
) -> None:
    weights = {**CONV, "pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "five": np.asarray(5, np.float32)}
    body = f"c = Conv(x, w) s = Conv(c, v) p = Pad{attribute}(c, pads{value}) y = Conv(p, v)"
    text = f"g (float[1,4,6,6] x) => (float[1,4,8,8] y, float[1,4,6,6] s) {{ {body} }}"
    graph = pipeline.load_prepared(write_model(tmp_path / "m.onnx", text, weights)).ir.graph
    assert ("p" in tensors_to_observe(graph, QuantConfig())) is brings


def test_scaled_tensors_are_not_observed_and_bounded_ones_where_they_are_read(tmp_path: Path) -> None:
    weights = {**CONV, "k": np.asarray(0.5, np.float32)}
    body = "c = Conv(x, w) s = Sigmoid(c) t = Transpose<perm=[0,1,3,2]>(s) m = Mul(t, k) y = Conv(m, v)"
    assert observed(tmp_path, body, weights=weights) == ["x", "c", "t", "y"]


def test_joined_tensors_are_observed_once(tmp_path: Path) -> None:
    body = "c = Conv(x, w) d = Conv(x, v) e = Concat<axis=1>(c, d) y = MaxPool<kernel_shape=[1,1], strides=[2,2]>(e)"
    assert observed(tmp_path, body, "1,8,3,3") == ["x", "y"]


@pytest.mark.parametrize(("first", "second", "shared"), [(1.0, 1.1, True), (1.0, 8.0, False)])
def test_inputs_of_a_concat_share_parameters_when_their_ranges_are_alike(
    tmp_path: Path, first: float, second: float, shared: bool
) -> None:
    body = "c = Conv(x, w) d = Conv(x, v) e = Concat<axis=1>(c, d) s = Add(c, d) y = Concat<axis=1>(e, s)"
    path = write_model(tmp_path / "m.onnx", f"g (float[1,4,6,6] x) => (float[1,12,6,6] y) {{ {body} }}", CONV)
    graph = pipeline.load_prepared(path).ir.graph
    ranges = {"c": (-first, first), "d": (-second, second)}
    plan = make_plan(graph, lambda name: ranges.get(name, (-second, second)), QuantConfig())
    assert (plan.tensors["c"] == plan.tensors["d"]) is shared


def test_a_clamp_bounds_the_range(tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "m.onnx",
        "g (float[1,4,6,6] x) => (float[1,4,6,6] y) { c = Conv(x, w) y = Clip(c, lo, hi) }",
        {**CONV, **LO_HI},
    )
    plan = make_plan(pipeline.load_prepared(path).ir.graph, lambda name: (-9.0, 9.0), QuantConfig())
    assert plan.tensors["c"] == plan.tensors["y"]
    assert (float(plan.tensors["y"].scale), int(plan.tensors["y"].zero_point)) == (float(np.float32(6 / 255)), 0)


def test_scores_with_fixed_parameters_do_not_force_them_on_what_they_are_joined_with(tmp_path: Path) -> None:
    body = "c = Conv(x, w) d = Conv(x, v) s = Sigmoid(d) y = Concat<axis=1>(c, s)"
    path = write_model(tmp_path / "m.onnx", f"g (float[1,4,6,6] x) => (float[1,8,6,6] y) {{ {body} }}", CONV)
    plan = make_plan(pipeline.load_prepared(path).ir.graph, lambda name: (-40.0, 40.0), QuantConfig(io="uint8"))
    assert plan.tensors["c"] == plan.tensors["y"] != plan.tensors["s"]
    assert float(plan.tensors["y"].scale) == float(np.float32(80 / 255))
    assert [note for note in plan.notes if "s covers only 1.2%" in note.text]
