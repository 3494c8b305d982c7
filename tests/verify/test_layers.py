from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.integer.program import Program
from qconv.verify.layers import reports as module
from qconv.verify.layers.groups import groups
from qconv.verify.layers.reports import LayerReport, layer_reports
from qconv.verify.measure.codes import final_codes
from qconv.verify.measure.metrics import SimilarityMeter
from qconv.verify.measure.sides import Side
from tests.lower.harness import Given, normal, quantize_graph
from tests.verify.twins import INTEGER, METADATA, integer_twin, samples, twins

TENSORS = frozenset({"x", "c", "r", "y"})


def reports(folder: Path, text: str = INTEGER) -> dict[str, LayerReport]:
    models = twins(folder, text)
    side = Side(models.integer_path, models.program)
    found = layer_reports(models.prepared, models.integer, models.program, side, samples(2)).reports
    assert [layer.similarity.sqnr_db for layer in found] == sorted(layer.similarity.sqnr_db for layer in found)
    return {layer.tensor: layer for layer in found}


def reckon(codes_of_layer: str) -> float:
    """The SQNR of a layer alone, from its definition, in numpy."""
    meter = SimilarityMeter()
    for sample in samples(2):
        x = np.asarray(sample.feeds["x"], np.float64)
        w = np.array([[0.25, -0.5], [0.75, 1.0]])
        r = np.maximum(np.einsum("oi,nihw->nohw", w, x) + np.array([1.25, -1.75]).reshape(1, 2, 1, 1), 0.0)
        xq = np.clip(np.rint(x / 0.5), -128, 127) * 0.5
        rq = np.clip(np.rint(r), 0, 155)
        if codes_of_layer == "r":
            exact = np.einsum("oi,nihw->nohw", w, xq) + np.array([1.25, -1.75]).reshape(1, 2, 1, 1)
            meter.add(r, np.clip(np.rint(exact), 0, 155))
        else:
            meter.add(r + x, np.clip(np.rint((rq + xq) / 2.0), -60, 195) * 2.0)
    return meter.result().sqnr_db


def test_a_layer_reaches_back_to_the_codes_of_other_tensors() -> None:
    program = Program.read(integer_twin())
    codes = final_codes(program, TENSORS)
    found = groups(program, codes)
    conv, add, start = found["r"], found["y"], found["x"]
    assert conv is not None and add is not None and start is not None
    assert {node.name for node in conv.steps} == {"conv", "clip"}
    assert [item.tensor for item in conv.inputs] == ["x"]
    assert {node.name for node in add.steps} == {"add"}
    assert {item.tensor for item in add.inputs} == {"r", "x"}
    assert {node.name for node in start.steps} == {"quantize"}
    assert start.inputs == ()


@pytest.mark.parametrize("tensor", ["r", "y"])
def test_own_error_is_that_of_the_layer_alone(tmp_path: Path, tensor: str) -> None:
    layer = reports(tmp_path)[tensor]
    assert layer.own is not None
    # the float network's own rounding is 2^-24 of its values, 1e-6 of the noise
    assert layer.own.sqnr_db == pytest.approx(reckon(tensor), abs=1e-3)


def test_quantizing_an_input_is_its_only_error(tmp_path: Path) -> None:
    layer = reports(tmp_path)["x"]
    assert layer.op_type == "QuantizeLinear"
    assert layer.own == layer.similarity


def test_a_bad_weight_is_seen_in_its_own_layer_only(tmp_path: Path) -> None:
    good, bad = reports(tmp_path), reports(tmp_path, INTEGER.replace("{1, -2, 3, 4}", "{1, -2, 3, 9}"))
    assert good["r"].own is not None and bad["r"].own is not None
    assert bad["r"].own.sqnr_db < good["r"].own.sqnr_db - 10
    assert bad["y"].similarity.sqnr_db < good["y"].similarity.sqnr_db - 5
    assert bad["y"].own == good["y"].own


def test_names_are_those_of_the_float_layers(tmp_path: Path) -> None:
    found = reports(tmp_path)
    assert {tensor: layer.node for tensor, layer in found.items()} == {"x": "x/quantize", "r": METADATA["clip"][0], "y": "add"}


def test_behind_a_float_node_the_own_error_is_not_known(tmp_path: Path) -> None:
    island = INTEGER.replace(
        "[clip] r_quantized = Clip (c_quantized, low)",
        """[leave] c = DequantizeLinear (c_quantized, ys, yz)
  [relu] r = Relu (c)
  [clip] r_quantized = QuantizeLinear (r, sa, za)""",
    )
    found = reports(tmp_path, island)
    assert found["y"].own is not None
    assert found["r"].op_type == "Relu"  # the node that the quantizer names as its source
    program = Program.read(integer_twin(island))
    codes = final_codes(program, TENSORS)
    assert groups(program, {"x": codes["x"], "y": codes["y"]})["y"] is None


def test_a_graph_without_metadata_has_no_layers(tmp_path: Path) -> None:
    models = twins(tmp_path)
    for node in models.integer.graph:
        node.metadata_props.clear()
    assert layer_reports(models.prepared, models.integer, models.program, Side(models.integer_path), samples(1)).reports == ()


def test_no_sample_means_no_error(tmp_path: Path) -> None:
    models = twins(tmp_path)
    found = layer_reports(models.prepared, models.integer, models.program, Side(models.integer_path), ()).reports
    assert {layer.similarity.sqnr_db for layer in found} == {math.inf}


def test_large_samples_are_few(tmp_path: Path) -> None:
    models = twins(tmp_path)
    side, graphs = Side(models.integer_path, models.program), (models.prepared, models.integer, models.program)
    size = sum(layer.similarity.elements for layer in layer_reports(*graphs, side, samples(1)).reports)
    taken = {limit: layer_reports(*graphs, side, samples(5), elements=limit).samples for limit in (0, 2 * size, math.inf)}
    assert taken[0] == 1
    assert 1 < taken[2 * size] < taken[math.inf] == 5


def test_pieces_give_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reports(tmp_path)
    monkeypatch.setattr(module, "pieces", lambda values: ([value] for value in values))
    assert reports(tmp_path) == whole


def test_channels_that_were_added_are_left_out(tmp_path: Path) -> None:
    """24 channels become 32 for the sake of speed; the error is that of the 24."""
    text = """g (float[1,4,8,8] x) => (float[1,8,8,8] y) {
        a = Conv (x, u) [depthwise] c = Conv <group = 24, pads = [1, 1, 1, 1]> (a, v) y = Conv (c, w)
    }"""
    weights = {"u": normal(24, 4, 1, 1), "v": normal(24, 1, 3, 3, seed=1), "w": normal(8, 24, 1, 1, seed=2)}
    feeds = [{"x": normal(1, 4, 8, 8, seed=seed)} for seed in range(4)]
    result = quantize_graph(tmp_path, text, weights, feeds)
    result.quantized.save(tmp_path / "m.int8.onnx")
    layers = {layer.tensor: layer for layer in pipeline.verify(result.path, tmp_path / "m.int8.onnx", Given(feeds)).layers}
    layer = layers["c"]
    assert layer.codes.used > 0 and layer.similarity.elements == 4 * 24 * 64
    assert layer.own is not None and layer.own.elements == 4 * 24 * 64
    assert 25.0 < layer.similarity.sqnr_db < layer.own.sqnr_db < math.inf


def test_what_a_softmax_gives_no_share_of_is_no_error_of_the_scores(tmp_path: Path) -> None:
    """A score that lies 60 below the best one of its row lies beyond the codes, as calibration looks at rows down to 9 only."""
    text = "g (float[1,8] x) => (float[1,4] y) { s = MatMul(x, w) y = Softmax(s) }"
    weights = {"w": normal(8, 4, seed=1) + np.asarray([0, 0, 0, -30], np.float32)}
    feeds = [{"x": np.abs(normal(1, 8, seed=seed))} for seed in range(8)]
    result = quantize_graph(tmp_path, text, weights, feeds)
    result.quantized.save(tmp_path / "m.int8.onnx")
    report = pipeline.verify(result.path, tmp_path / "m.int8.onnx", Given(feeds))
    assert min(layer.similarity.sqnr_db for layer in report.layers) > 25.0


def test_layers_are_named_by_what_computes_and_those_that_move_are_left_out(tmp_path: Path) -> None:
    text = "g (float[2,8] x) => (float[4,4] r, float[2,4] y) { e = Gelu(x) r = Reshape(e, s) y = MatMul(e, w) }"
    feeds = [{"x": normal(2, 8, seed=seed)} for seed in range(4)]
    result = quantize_graph(tmp_path, text, {"s": np.asarray([4, 4]), "w": normal(8, 4)}, feeds)
    result.quantized.save(tmp_path / "m.int8.onnx")
    report = pipeline.verify(result.path, tmp_path / "m.int8.onnx", Given(feeds))
    found = {layer.tensor: layer.op_type for layer in report.layers}
    assert found["e"] == "Gelu" and found["r"] == "Reshape"
    assert {layer.tensor for layer in report.working_layers} == {"x", "e", "y"}
