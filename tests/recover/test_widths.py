"""Prices of fewer bits: nothing for what there is, more for less, less where weights are fitted; the network stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from qconv import pipeline
from qconv.config import QuantConfig, Rule
from qconv.pipeline.prepared import load_prepared
from qconv.recover.recover import EFFORTS
from qconv.recover.widths import prices, weighted
from tests.lower.harness import Array, Given, normal, write_model

TEXT = """g (float[1,8,8,8] x) => (float[1,5] y) {
    a = Conv<pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    c = Conv<group=16, pads=[1,1,1,1]>(r, w2)
    t = ConvTranspose(c, w3)
    p = GlobalAveragePool(t)
    f = Flatten(p)
    y = Gemm(f, w4)
}"""
FEEDS = [{"x": normal(1, 8, 8, 8, seed=seed)} for seed in range(20)]
WEIGHTS: dict[str, Array] = {
    "w1": normal(16, 8, 3, 3, scale=0.1),
    "b1": normal(16, seed=1),
    "w2": normal(16, 1, 3, 3, seed=2),
    "w3": normal(16, 16, 2, 2, seed=3, scale=0.1),
    "w4": normal(16, 5, seed=4),
}


def _way(bits: int) -> QuantConfig:
    return QuantConfig(rules=(Rule(("*",), weight_bits=bits),))


def test_prices_of_fewer_bits(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", TEXT, WEIGHTS)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    plan = pipeline.quantize(path, calibration, config=QuantConfig(effort="none")).plan
    model, feeds = load_prepared(path).ir, [*FEEDS]
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    ways = [_way(8), _way(4), replace(_way(4), levels="codebook"), _way(2)]
    nearest = prices(model, plan, QuantConfig(), ways, feeds, None)
    fitted = prices(model, plan, QuantConfig(), ways, feeds, EFFORTS["fast"])
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert nearest.keys() == fitted.keys() == weighted(model.graph, plan).keys() and len(nearest) == 4
    # What there is costs nothing, but for sums of float32 in another order.
    assert max(abs(of_weight[0]) for of_weight in nearest.values()) < 1e-9
    for whole, four, _, two in nearest.values():
        assert whole < four < two
    # A transposed convolution is not fitted; of what is, all outputs together come closer.
    same = [name for name in nearest if np.allclose(nearest[name][1:], fitted[name][1:])]
    assert len(same) == 1
    assert sum(of_weight[1] for of_weight in fitted.values()) < sum(of_weight[1] for of_weight in nearest.values())
