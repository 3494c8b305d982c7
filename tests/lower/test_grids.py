"""Every op of the table with scales that are powers of two, and with short multipliers: exact, proved, and in the grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.errors import UsageError
from qconv.quant.grids import DYADIC, POWERS, Grid
from qconv.verify.exact.shifts import in_grid
from tests.lower.harness import normal, quantize_graph
from tests.lower.test_ops import CASES, Case

# Ops that rescale, or have parameters that are fixed by their type, one form or two of each.
_OPS = (
    "Add",
    "AveragePool",
    "Concat",
    "ConvTranspose k3",
    "Gemm",
    "GlobalAv",
    "HardS",
    "Leaky",
    "Mul by",
    "Sigmoid",
    "Softmax",
    "Sub",
)
_CASES = [case for case in CASES if case.name.startswith(_OPS)]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", ["pow2", "dyadic"])
def test_an_op_is_exact_and_its_multipliers_are_in_the_grid(case: Case, kind: str, tmp_path: Path) -> None:
    feeds = [{name: normal(*shape, seed=10 * i + j) for j, (name, shape) in enumerate(case.shapes.items())} for i in range(3)]
    config = QuantConfig(pow2=kind == "pow2", dyadic=kind == "dyadic")
    result = quantize_graph(tmp_path, case.text, case.weights, feeds, config=config)
    assert result.quantized.audit.float_nodes == ()
    assert [c for c in result.quantized.lowering.program.certificates.values() if c.proved != c.scales or c.why] == []
    result.assert_exact()
    assert result.sqnr_db() > case.sqnr - (9 if config.pow2 else 3)
    found = in_grid(result.quantized.lowering.program, config.grid)
    assert (found.short, found.others) == (found.multipliers, ())
    assert not config.pow2 or found.powers == found.scales


def test_operands_of_a_sum_share_a_scale_where_multipliers_are_short(tmp_path: Path) -> None:
    body = "a = Conv<pads=[1,1,1,1]>(x, v) b = Conv<pads=[1,1,1,1]>(a, w) y = Add(a, b)"
    text = f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ {body} }}"
    feeds = [{"x": normal(1, 4, 6, 6, seed=i)} for i in range(3)]
    weights = {"v": normal(4, 4, 3, 3), "w": normal(4, 4, 3, 3, seed=1)}
    result = quantize_graph(tmp_path, text, weights, feeds, config=QuantConfig(dyadic=True))
    a, b, y = (result.quantized.plan.tensors[name] for name in "aby")
    assert a == b == y
    assert [
        float(m.real) for step in result.quantized.lowering.program.steps if step.op == "QLinearAdd" for m in step.multipliers
    ] == [1, 1]
    result.assert_exact()


def test_powers_of_two_and_short_multipliers_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        QuantConfig(pow2=True, dyadic=True)


@pytest.mark.parametrize("grid", [POWERS, DYADIC])
def test_a_value_is_snapped_to_the_nearest_multiplier_and_raised_to_the_next(grid: Grid) -> None:
    scales = np.exp(np.random.default_rng(0).uniform(-12, 0, 300)).astype(np.float32)
    every = np.sort(np.ldexp(np.arange(1 << grid.bits), np.arange(-40, 4)[:, None]).reshape(-1))
    near = grid.nearest(scales)
    assert (np.abs(near - scales) <= np.abs(every - scales[:, None]).min(axis=1)).all()
    assert np.isin(near, every).all()
    above = grid.above(near)
    assert ((above > near) & np.isin(above, every)).all()
    assert not ((every > near[:, None]) & (every < above[:, None])).any()
