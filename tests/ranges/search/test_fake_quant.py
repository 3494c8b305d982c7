"""The simulation against the integer network that it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import helper

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.model.session import open_session
from qconv.plan.activations import ActivationPlan
from qconv.ranges.search.fake_quant import FakeQuant
from tests.networks import Listed, network

RNG = np.random.default_rng(0)
PICTURES = [RNG.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(8)]


def roots() -> ir.Model:
    """Magnitudes of a convolution, as spectrograms have them, then another; beside them a sine that is left in float."""
    constants: dict[str, NDArray[Any]] = {
        "w": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32), "v": RNG.standard_normal((2, 4, 1, 1)).astype(np.float32),
        "two": np.array(2, np.float32), "b": RNG.standard_normal(2).astype(np.float32), "c": np.array(1, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Sin", ["x"], ["beside"], name="sine"),
        helper.make_node("Conv", ["x", "w"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Pow", ["conv", "two"], ["square"]),
        helper.make_node("Add", ["square", "c"], ["sum"]),
        helper.make_node("Sqrt", ["sum"], ["root"]),
        helper.make_node("Conv", ["root", "v", "b"], ["last"]),
        helper.make_node("Relu", ["last"], ["y"]),
    ]
    return network(nodes, {"x": [1, 3, 8, 8]}, ["y", "beside"], constants)


def both(path: Path, bits: int) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]], float]:
    """Outputs for a picture, of the simulation and of the integer network; and the width of a code of the first."""
    ir.save(roots(), path)
    config = QuantConfig(activation_bits=bits, exclude=("sine",))
    calibration = pipeline.calibrate(path, Listed(PICTURES), threads=1)
    loaded = pipeline.load_prepared(path)
    plan = ActivationPlan(loaded.ir.graph, config)
    params = plan.params(lambda name: (calibration.tensors[name].lo, calibration.tensors[name].hi))
    simulated = FakeQuant(loaded.ir, plan, threads=1).run({"x": PICTURES[0]}, params)
    pipeline.quantize(path, calibration, config=config).save(path.with_suffix(".int.onnx"))
    integer = open_session(path.with_suffix(".int.onnx"), threads=1).run(None, {"x": PICTURES[0]})
    return simulated, list(integer), float(params["y"].scale)


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_it_is_the_integer_network_in_float(bits: int, tmp_path: Path) -> None:
    simulated, integer, scale = both(tmp_path / "roots.onnx", bits)
    codes = np.rint(simulated[0] / scale) - np.rint(integer[0] / scale)
    assert np.abs(codes).max() <= 1  # float32 sums fall to either side of a half
    assert np.count_nonzero(codes) <= codes.size // 20


def test_what_stays_in_float_sees_exact_values(tmp_path: Path) -> None:
    simulated, integer, _ = both(tmp_path / "roots.onnx", 4)
    exact = np.sin(PICTURES[0])
    for found in (simulated[1], integer[1]):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)  # two float32 sines; a code is 0.1 wide
