from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.tape import Tape

from qconv import pipeline
from qconv.autodiff.gradient import RULES
from qconv.data.limited import Limited
from qconv.data.source import inputs_of
from qconv.data_free import distilled as moved_source
from qconv.data_free.distilled import MovedSource, moved_if_synthetic, moved_to_batchnorms
from qconv.data_free.statistics_network import MomentNetwork
from qconv.data_free.synthetic import SyntheticSource, synthetic_source
from qconv.model.load import load
from tests.data_free.test_statistics_matching import taught
from tests.networks import Listed, network, pictures


def drawn(count: int = 8) -> SyntheticSource:
    model = taught()
    return synthetic_source(model, inputs_of(model), count, seed=0)


def moved(count: int = 8) -> MovedSource:
    found = moved_to_batchnorms(taught(), inputs_of(taught()), drawn(count))
    assert found is not None
    return found


def test_samples_come_nearer_and_say_how_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_source, "MOST_ROUNDS", 20)
    found = moved()
    assert len(found) == len(list(found)) == 8
    assert found.moved and found.after.mean < found.before.mean / 2
    told = f"{found.after.mean:.2g} nats to what 2 batch norms remember"
    assert told in found.finding and told in str(found.warning) and "no data was given" in str(found.warning)
    again = moved()
    assert all(np.array_equal(a.feeds["x"], b.feeds["x"]) for a, b in zip(found, again, strict=True))


def test_a_small_budget_takes_fewer_samples_and_then_fewer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    work = MomentNetwork(taught(), "x", moved(1).after.layers).work(pictures(1)[0])
    monkeypatch.setattr(moved_source, "BUDGET", 20 * moved_source.ROUNDS * work)
    assert len(moved(64)) == 20
    monkeypatch.setattr(moved_source, "BUDGET", work)
    found = moved(64)
    assert len(found) == moved_source.FEWEST_SAMPLES
    assert not found.moved and "left" in found.finding


def test_real_samples_and_networks_without_batch_norms_are_left_alone(sample_models: Path) -> None:
    listed = Listed(pictures(2))
    model = load(sample_models / "digits_mlp.onnx").ir
    assert moved_if_synthetic(listed, model, inputs_of(model)) is listed
    plain = network([], {"x": [1, 3, 4, 4]}, [])
    assert moved_to_batchnorms(plain, inputs_of(taught()), drawn()) is None


def test_the_pipeline_moves_its_samples_and_tells(sample_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_source, "MOST_ROUNDS", 2)
    found = pipeline.calibrate(sample_models / "digits_resnet.onnx", samples=3)
    assert found.samples == 3 and "moved towards all batch norms" in found.source
    assert sum("nats to what" in warning for warning in found.warnings) == 1
    source = pipeline.samples_for(pipeline.load_prepared(sample_models / "digits_resnet.onnx"), None, samples=3)
    assert isinstance(source, Limited)


def test_where_the_gradient_does_not_run_the_gap_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: object) -> list[tuple[int, ir.Value]]:
        return [(0, tape.op("Concat", [gradient, node.inputs[0]], {"axis": 1}))]

    monkeypatch.setitem(RULES, "Relu", broken)
    found = moved()
    assert not found.moved and found.before.mean > 0 and "left" in found.finding
