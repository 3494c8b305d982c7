"""What the target x86-vnni would give: told where it is much, and not made where a simulation says that it is nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.model.machine import adds_pairs_in_int16
from qconv.pipeline.goals import price_of_pairs
from qconv.pipeline.goals.price_of_pairs import PairPrice
from qconv.pipeline.recovery import Recovery
from qconv.recover.channels.equalize import Form
from qconv.recover.recover import Recovered
from tests.lower.harness import Array, Given, normal, write_model

_TEXT = "g (float[1,16,6,6] x) => (float[1,8,6,6] y) { y = Conv(x, w) }"


def _price(weight: Array, folder: Path, target: str = "x86", *, recovered: int = 0) -> tuple[PairPrice, float]:
    """What safe pairs cost, and the SQNR that this target gives."""
    path = write_model(folder / "model.onnx", _TEXT, {"w": weight})
    source = Given([{"x": abs(normal(1, 16, 6, 6, seed=i))} for i in range(6)])
    config = QuantConfig(target=target, effort="none")
    calibration = pipeline.calibrate(path, source, config=config)
    loaded = pipeline.load_prepared(path)
    result = pipeline.quantize(loaded, calibration, config=config)
    result.save(folder / "model.int8.onnx")
    figures = pipeline.quick_check(loaded, folder / "model.int8.onnx", result.model, source)
    if recovered:
        form = Form(result.model, result.plan, 0.2)
        result = replace(result, recovery=Recovery(form, 0.2, Recovered(result.plan, recovered, 6, 0.2, 0.1, 0.1)))
    return pipeline.pair_price(loaded, calibration, result, config, source, figures), figures.sqnr_db["y"]


def _heavy() -> Array:
    """Weights of both signs, alike two by two, all near the greatest: every pair has to give way."""
    signs = np.repeat(np.random.default_rng(0).choice([-1, 1], (8, 8)), 2, axis=1)
    sizes = np.random.default_rng(1).uniform(0.8, 1.0, (8, 16))
    return np.asarray(signs * sizes, np.float32)[:, :, None, None]


@pytest.mark.skipif(adds_pairs_in_int16(), reason="the other target's model is wrong on this processor")
def test_a_better_result_without_safe_pairs_is_told(tmp_path: Path) -> None:
    price, here = _price(_heavy(), tmp_path)
    assert price.matters and price.better is not None
    assert set(price.better) == {"y"}
    assert price.better["y"] >= here + 0.5


def test_where_the_other_model_cannot_run_the_simulation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_of_pairs, "adds_pairs_in_int16", lambda: True)
    monkeypatch.delattr(price_of_pairs, "quick_check")
    price, _ = _price(_heavy(), tmp_path)
    assert price.matters and price.better is None and not price.recovered
    assert price.simulated_db >= 0.5


def test_a_model_with_recovered_weights_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(price_of_pairs, "quantize")
    price, _ = _price(_heavy(), tmp_path, recovered=1)
    assert price.matters and price.better is None and price.recovered
    assert price.simulated_db >= 0.5


@pytest.mark.parametrize("target", ["x86-vnni", "arm"])
def test_other_targets_have_no_price(target: str, tmp_path: Path) -> None:
    assert _price(_heavy(), tmp_path, target)[0] == PairPrice(0.0, {})


def test_no_second_model_is_made_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(price_of_pairs, "quantize")
    alone = np.eye(16, dtype=np.float32)[:8, :, None, None]  # one weight in each row, and no pair
    assert not _price(alone, tmp_path)[0].matters
