"""Budgets are kept or said to be out of reach; goals are reached step by step, and the best attempt is taken where none is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qconv import pipeline
from qconv.cli.main import cli
from qconv.config import QuantConfig
from qconv.errors import UsageError
from qconv.integer.execution.compare import mismatches
from qconv.pipeline.goals.bit_prices import PriceTable, Width
from qconv.pipeline.goals.budget import Budget, quantize_within
from qconv.pipeline.goals.deadline import Deadline, OutOfTime
from qconv.pipeline.goals.reach import Goal, reach
from tests.lower.harness import Array, Given, normal, write_model

TEXT = """g (float[1,16,8,8] x) => (float[1,5] y) {
    a = Conv<pads=[1,1,1,1]>(x, w1)
    r = Relu(a)
    c = Conv<pads=[1,1,1,1]>(r, w2)
    s = Relu(c)
    p = GlobalAveragePool(s)
    f = Flatten(p)
    y = Gemm(f, w3)
}"""
FEEDS = [{"x": normal(1, 16, 8, 8, seed=seed)} for seed in range(16)]


def _model(folder: Path) -> Path:
    weights: dict[str, Array] = {
        "w1": normal(64, 16, 3, 3, scale=0.1),
        "w2": normal(64, 64, 3, 3, seed=1, scale=0.05),
        "w3": normal(64, 5, seed=2),
    }
    return write_model(folder / "m.onnx", TEXT, weights)


@pytest.mark.parametrize(
    ("text", "expected"), [("0.6x", Budget(0.6, "size")), (".5x-bops", Budget(0.5, "bops")), ("1x-size", Budget(1.0, "size"))]
)
def test_a_budget_is_read(text: str, expected: Budget) -> None:
    assert Budget.parse(text) == expected


@pytest.mark.parametrize("text", ["60%", "0.6", "2x", "0x", "0.5x-time", "-0.5x"])
def test_what_is_no_budget_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="--budget takes a part"):
        Budget.parse(text)


def test_a_table_tells_what_a_choice_costs_and_loses() -> None:
    options = (((10.0, 0.0), (5.0, 2.0)), ((20.0, 0.0), (10.0, 3.0)))
    table = PriceTable((Width(8), Width(4)), (("a", "b"), ("c",)), options, fixed=5.0, whole=35.0)
    found = {share: table.choice(share) for share in (1.0, 0.9, 0.8, 0.1)}
    assert [table.loss(choice) for choice in found.values()] == [0.0, 2.0, 3.0, 5.0]
    assert [table.share(choice) * 35.0 for choice in found.values()] == [35.0, 30.0, 25.0, 20.0]
    assert found[0.9] == {"a": Width(4), "b": Width(4), "c": Width(8)}


@pytest.mark.parametrize("share", [0.8, 0.7])
def test_a_budget_of_size_is_kept(share: float, tmp_path: Path) -> None:
    path = _model(tmp_path)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    whole = pipeline.quantize(path, calibration, samples=Given(FEEDS))
    whole.save(tmp_path / "whole.onnx")
    found = quantize_within(path, calibration, QuantConfig(), Budget(share, "size"), Given(FEEDS))
    found.result.save(tmp_path / "small.onnx")
    assert found.shortfall is None
    sizes = [(tmp_path / name).stat().st_size for name in ("small.onnx", "whole.onnx")]
    assert sizes[0] <= share * sizes[1] * 1.01
    assert min(found.bits.values()) < 8
    assert mismatches(found.result.model, FEEDS[0]) == []
    assert set(found.config.rules) and found.config.rules[0].weight_bits == min(found.bits.values())


def test_a_budget_of_bit_operations_is_kept(tmp_path: Path) -> None:
    path = _model(tmp_path)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    found = quantize_within(path, calibration, QuantConfig(), Budget(0.5, "bops"), Given(FEEDS))
    assert found.shortfall is None and found.share <= 0.501
    products = {"conv0": 64 * 16 * 9 * 64, "conv2": 64 * 64 * 9 * 64, "gemm6": 64 * 5}
    assert sum(products[node] * bits for node, bits in found.bits.items()) <= 0.501 * 8 * sum(products.values())


def test_a_budget_out_of_reach_is_told(tmp_path: Path) -> None:
    path = _model(tmp_path)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    found = quantize_within(path, calibration, QuantConfig(), Budget(0.3, "size"), Given(FEEDS))
    assert found.shortfall is not None and "out of reach" in found.shortfall
    assert set(found.bits.values()) == {2}


def test_a_goal_that_the_first_attempt_meets(tmp_path: Path) -> None:
    path, told = _model(tmp_path), list[str]()
    calibration = pipeline.calibrate(path, Given(FEEDS))
    found = reach(path, calibration, QuantConfig(), Goal(min_sqnr_db=20.0), Given(FEEDS), tell=told.append)
    assert found.met and found.what == "as asked" and found.sqnr_db >= 20.0
    assert len(told) == 1


def test_a_goal_out_of_reach_ends_with_the_best_attempt(tmp_path: Path) -> None:
    path, told = _model(tmp_path), list[str]()
    config = QuantConfig(integer_only=True, weight_bits=4)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    found = reach(path, calibration, config, Goal(min_sqnr_db=200.0), Given(FEEDS), tell=told.append)
    assert not found.met and found.result.audit.float_nodes == ()
    assert len(told) == 3  # as asked, full effort, method auto; no nodes in float
    assert f"{found.sqnr_db:.1f}" == max((text.split(": ")[1].split(" dB")[0] for text in told), key=float)


def test_a_time_limit_begins_no_further_attempt(tmp_path: Path) -> None:
    path, told = _model(tmp_path), list[str]()
    calibration = pipeline.calibrate(path, Given(FEEDS))
    found = reach(path, calibration, QuantConfig(), Goal(200.0, None, 1e-9), Given(FEEDS), tell=told.append)
    assert found.what == "nearest weights"  # something is made, however little time there is
    assert any(text == "no time for: as asked" for text in told)
    assert told[-1] == "no time to look for nodes that should be in float"


def test_an_attempt_ends_with_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told, looks = _model(tmp_path), list[str](), 0
    calibration = pipeline.calibrate(path, Given(FEEDS))

    def look(self: Deadline, done: int = 0, total: int | None = None) -> None:
        nonlocal looks
        looks += 1
        if looks > 2:  # amid the layers of the second attempt
            raise OutOfTime

    monkeypatch.setattr(Deadline, "look", look)
    found = reach(path, calibration, QuantConfig(), Goal(5.0, None, 1e9), Given(FEEDS), tell=told.append)
    assert found.what == "nearest weights" and found.met and "no time for: as asked" in told


def test_the_drop_is_that_of_classes(tmp_path: Path) -> None:
    path = _model(tmp_path)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    found = reach(path, calibration, QuantConfig(), Goal(max_drop_points=100.0), Given(FEEDS))
    assert found.met and found.drop is not None and found.drop.error is not None and 0.0 <= found.drop.points <= 100.0


def test_outputs_that_are_no_classes_have_no_drop(tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "m.onnx", "g (float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w) }", {"w": normal(4, 3, 3, 3)}
    )
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(4)]
    config = QuantConfig(integer_only=True)
    found = reach(path, pipeline.calibrate(path, Given(feeds)), config, Goal(max_drop_points=1.0), Given(feeds))
    assert not found.met and found.drop is None and found.sqnr_db > 25


def test_the_command_says_what_it_tried(tmp_path: Path) -> None:
    path = _model(tmp_path)
    np.savez(tmp_path / "m.npz", x=np.concatenate([feed["x"] for feed in FEEDS]))
    options = ["quantize", str(path), "--data", str(tmp_path / "m.npz")]
    done = CliRunner().invoke(cli, [*options, "--min-sqnr", "20"])
    assert done.exit_code == 0 and "taken: as asked" in done.output, done.output
    missed = CliRunner().invoke(cli, [*options, "--budget", "0.3x"], standalone_mode=False)
    assert missed.return_value == 1 and "out of reach" in missed.output
    for wrong in (["--budget", "0.5x", "--min-sqnr", "20"], ["--time-limit", "5"], ["--budget", "half"]):
        assert CliRunner().invoke(cli, [*options, *wrong]).exit_code != 0
