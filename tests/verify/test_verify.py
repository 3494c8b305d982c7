from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from rich.console import Console

from qconv.errors import ArtifactError, DataError
from qconv.model.save import file_bytes, files_of
from qconv.verify import Effort, Report, Thresholds, audit_optimized, verify
from qconv.verify.measure.metrics import Similarity
from qconv.verify.report.render import render
from tests.verify.twins import Listed, samples, twins

QUICK = Effort(layer_samples=2, exact_samples=2, latency_seconds=0.0)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return verify(twins(tmp_path), samples(3), effort=QUICK, thresholds=Thresholds(min_sqnr=60.0))


def text(report: Report) -> str:
    console = Console(width=140, markup=False)
    with console.capture() as capture:
        console.print(render(report))
    return capture.get()


def test_report_holds_every_part(report: Report) -> None:
    assert report.data.samples == 3
    assert report.data.source == "a list"
    assert [output.name for output in report.outputs] == ["y"]
    assert [layer.tensor for layer in report.layers] == ["y", "r", "x"]
    assert report.layer_samples == 2
    assert report.written.integer == {"QLinearConv": 1, "Clip": 1, "QLinearAdd": 1}
    assert (report.written.quantize, report.written.dequantize, report.written.integer_only) == (1, 1, True)
    assert report.optimized.integer_only
    assert report.exactness.equal
    assert (report.exactness.samples, report.exactness.tensors) == (2, 5)
    assert report.cost.float_ms > 0 and report.cost.integer_ms > 0 and report.cost.runs >= 3
    assert not report.verdict.passed


def test_json_round_trip(report: Report) -> None:
    assert Report.from_json(json.loads(report.dumps())) == report


def test_exact_outputs_survive_json(report: Report) -> None:
    exact = replace(report.outputs[0], similarity=Similarity(math.inf, 1.0, 0.0, 5))
    changed = replace(report, outputs=(exact,))
    data = json.loads(changed.dumps())
    assert data["outputs"][0]["similarity"]["sqnr_db"] is None
    assert Report.from_json(data) == changed


@pytest.mark.parametrize("damage", [{"format": "other"}, {"outputs": 3}, {"cost": None}])
def test_damaged_report_is_refused(report: Report, damage: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        Report.from_json({**report.to_json(), **damage})


def test_text_names_what_matters(report: Report) -> None:
    shown = text(report)
    assert f"{report.outputs[0].similarity.sqnr_db:.2f}" in shown
    assert "integer only" in shown
    assert "failed: output y has an SQNR" in shown
    assert "equals exact integer arithmetic in every element of 5 tensors over 2 samples" in shown


def test_text_shows_the_warning(report: Report) -> None:
    assert "warning: random data" in text(replace(report, data=replace(report.data, warning="random data")))


def test_markup_in_names_is_text(report: Report) -> None:
    odd = replace(report, outputs=(replace(report.outputs[0], name="[bold]y[/]"),))
    assert "[bold]y[/]" in text(odd)


def test_float_nodes_are_counted_in_the_graph_that_runs(tmp_path: Path) -> None:
    models = twins(tmp_path)
    assert audit_optimized(models.float_path).integer_nodes == 0
    assert not audit_optimized(models.float_path).integer_only
    assert audit_optimized(models.integer_path).integer_only


def test_no_samples_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        verify(twins(tmp_path), Listed(()), effort=QUICK)


def test_size_counts_external_data_once(tmp_path: Path) -> None:
    weight = ir.Value(name="w", const_value=ir.tensor(np.zeros((64, 64), np.float32), name="w"))
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 64]))
    node = ir.Node("", "MatMul", [x, weight])
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[weight], opset_imports={"": 21}, name="net")
    path = tmp_path / "big.onnx"
    ir.save(ir.Model(graph, ir_version=10), path, external_data="big.data", size_threshold_bytes=0)
    found = file_bytes(files_of(path, ir.load(path)))
    assert found == path.stat().st_size + (tmp_path / "big.data").stat().st_size
    assert found > 64 * 64 * 4


def test_a_slower_model_is_said_to_be_slower(report: Report) -> None:
    sentence = "slower than the float model here: a run takes 1.50 of its time"
    slow, even = (replace(report, cost=replace(report.cost, float_ms=1.0, integer_ms=ms)) for ms in (1.5, 1.01))
    assert sentence in text(slow)
    assert "slower than" not in text(even)


def test_a_look_tells_only_of_what_is_far_slower(report: Report) -> None:
    """Not of a network that runs for less than 50 us, nor of a ratio that so few runs may be off by."""
    ratios = [replace(report.cost, float_ms=ms, integer_ms=ms * ratio).noticed for ms, ratio in ((1, 2), (0.04, 2), (1, 1.1))]
    assert ratios == [True, False, False]
