"""Warnings that nobody should overlook: parts of outputs, dead outputs, accuracy of chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.cli.main import run
from qconv.verify.layers.reports import LayerReport
from qconv.verify.measure.classes import Accuracy
from qconv.verify.measure.code_use import CodeUse
from qconv.verify.measure.compare import OutputReport
from qconv.verify.measure.metrics import Similarity
from qconv.verify.report.shout import accuracy_warnings, first_loss, output_warnings
from tests.lower.harness import Given, write_model

# Boxes are 1000 times as large as scores, and one scale serves both behind the Concat.
UNLIKE = """
g (float[1, 4, 8] x) => (float[1, 8, 8] y)
{
  boxes = Mul (x, large)
  scores = Sigmoid (x)
  y = Concat <axis = 1> (boxes, scores)
}
"""


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    path = write_model(tmp_path / "m.onnx", UNLIKE, {"large": np.full((1, 4, 1), 1000, np.float32)})
    x = np.random.default_rng(0).normal(0, 1, (120, 4, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x)
    return path


def test_a_lost_part_is_named_though_the_whole_is_well(unlike: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(unlike.with_name("d.npz"))]
    codes = ["--io", "uint8"]  # codes of an output have one scale
    assert run(["quantize", str(unlike), *data, *codes]) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "the part scores of output y" in shown
    assert "the part boxes" not in shown
    assert f"qconv quantize {unlike} --" in shown
    assert run(["quantize", str(unlike), *data, *codes, "--strict"]) == 1
    assert run(["verify", str(unlike), *data]) == 0
    assert "the part scores of output y" in " ".join(capsys.readouterr().out.split())
    assert run(["verify", str(unlike), *data, "--strict"]) == 1


def test_the_report_holds_the_parts(unlike: Path) -> None:
    assert run(["quantize", str(unlike), "--data", str(unlike.with_name("d.npz")), "--io", "uint8"]) == 0
    x = np.random.default_rng(1).normal(0, 1, (1, 4, 8)).astype(np.float32)
    (output,) = pipeline.verify(unlike, unlike.with_suffix(".int8.onnx"), Given([{"x": x}])).outputs
    assert [part.tensor for part in output.parts] == ["boxes", "scores"]
    assert output.similarity.sqnr_db > 30 > 15 > output.parts[1].similarity.sqnr_db
    assert output.parts[1].dead


def test_sentences_name_the_node_and_a_line_to_paste() -> None:
    lost = OutputReport("y", Similarity(3.0, 0.5, 1.0, 10), None)
    well = OutputReport("z", Similarity(30.0, 1.0, 0.1, 10), None)
    (sentence,) = output_warnings([lost, well], "a b.onnx", lambda tensor: "conv[1]", made_up=False)
    assert sentence == (
        "output y has an SQNR of 3.0 dB, below 20; node conv[1] lost it first; try: "
        "qconv quantize 'a b.onnx' --exclude 'conv[[]1]' or qconv quantize 'a b.onnx' --method auto"
    )
    (sentence,) = output_warnings([lost], "m.onnx", lambda tensor: None, made_up=True)
    assert sentence.endswith("below 20; try: qconv quantize m.onnx --data DATA")


def test_infinities_of_one_side_are_said_as_such() -> None:
    lost = OutputReport("y", Similarity(-np.inf, 0.9, np.inf, 10), None)
    (sentence,) = output_warnings([lost], "m.onnx", lambda tensor: "sqrt", made_up=False)
    assert sentence.startswith("output y is not finite in the same places as the float model's; node sqrt lost it first; try: ")


@pytest.mark.parametrize(("top1", "samples", "warned"), [(0.0, 100, True), (0.04, 100, True), (0.9, 100, False), (0.0, 5, False)])
def test_accuracy_of_chance_blames_the_preprocessing(top1: float, samples: int, warned: bool) -> None:
    found = accuracy_warnings(Accuracy("y", samples, top1, top1, None, None), [])
    assert bool(found) is warned
    assert all("preprocessing is probably wrong" in sentence for sentence in found)


CONVOLVED = """
g (float[1, 3, 6, 6] x) => (float[1, 4, 6, 6] y) { c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu (c) }
"""


@pytest.mark.parametrize("factor", [1.0, 5.0])
def test_samples_beyond_what_an_input_was_calibrated_for_are_told_of(factor: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    model = write_model(tmp_path / "m.onnx", CONVOLVED, {"w": rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32)})
    x = rng.uniform(-1, 1, (30, 3, 6, 6)).astype(np.float32)
    quantized = pipeline.quantize(model, samples={"x": x})
    warnings = pipeline.verify(model, quantized, {"x": factor * x}).warnings
    if factor == 1.0:
        assert not warnings
    else:
        first, *others = warnings
        assert "of the elements of input x lie at or beyond the ends of the range that it was calibrated for" in first
        assert not any("--exclude" in warning for warning in others)


DRAWN = """
g (float[1, 3, 6, 6] x) => (float[1, 4, 6, 6] y) { c = Conv <pads = [1, 1, 1, 1]> (x, w) r = RandomNormalLike (c) y = Add (c, r) }
"""


def test_random_numbers_are_told_of_as_such(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    model = write_model(tmp_path / "m.onnx", DRAWN, {"w": rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32)})
    x = rng.uniform(-1, 1, (8, 3, 6, 6)).astype(np.float32)
    warnings = pipeline.verify(model, pipeline.quantize(model, samples={"x": x}), {"x": x}).warnings
    (told,) = [warning for warning in warnings if warning.startswith("output y")]
    assert "draws random numbers, so that no two runs of either model agree" in told
    assert "try:" not in told


BRANCHES = """g (float[1, 4] x) => (float[1, 4] y, float[1, 4] z) {
    a = Exp (x)
    b = Neg (a)
    y = Exp (b)
    c = Neg (x)
    z = Exp (c)
}"""


def layer(tensor: str, sqnr_db: float) -> LayerReport:
    return LayerReport(f"node_of_{tensor}", "Exp", tensor, Similarity(sqnr_db, 1.0, 0.0, 4), None, CodeUse(4, 0.0, 0.0, (4,)))


@pytest.mark.parametrize(
    ("lost", "tensor", "node"),
    [
        ("aby", "y", "node_of_a"),  # the first of three, though worst first is the order of the layers
        ("by", "y", "node_of_b"),
        ("y", "y", "node_of_y"),
        ("ab", "z", None),  # another branch
        ("abz", "z", "node_of_z"),
        ("", "y", None),
        ("ab", "nowhere", None),
    ],
)
def test_the_first_loss_is_the_earliest_that_a_tensor_is_computed_from(
    tmp_path: Path, lost: str, tensor: str, node: str | None
) -> None:
    graph = pipeline.load_prepared(write_model(tmp_path / "m.onnx", BRANCHES, {})).original.graph
    layers = [layer(name, 3.0 - index) for index, name in enumerate(lost)] + [
        layer(name, 30.0) for name in set("abcyz") - set(lost)
    ]
    assert first_loss(graph, sorted(layers, key=lambda found: found.similarity.sqnr_db))(tensor) == node


def test_where_reals_are_quantized_the_node_that_reads_the_codes_is_named(tmp_path: Path) -> None:
    graph = pipeline.load_prepared(write_model(tmp_path / "m.onnx", BRANCHES, {})).original.graph
    border = LayerReport("a/quantize", "QuantizeLinear", "a", Similarity(3.0, 1.0, 0.0, 4), None, CodeUse(4, 0.0, 0.0, (4,)))
    assert first_loss(graph, [border])("y") == "neg1"


def test_a_lost_band_far_from_zero_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n,4] x) => (float[n,1] y) { y = Gemm(x, w, b) }"
    weights = {"w": np.full((4, 1), 0.5, np.float32), "b": np.asarray([293], np.float32)}
    path = write_model(tmp_path / "m.onnx", text, weights)
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(0, 1, (120, 4)).astype(np.float32))
    given = ["quantize", str(path), "--data", str(tmp_path / "d.npz")]
    assert run([*given, "--integer-only"]) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "output y lies far from zero, and what varies in it has an SQNR of" in shown
    assert run(given) == 0  # left in float at the end of the graph
    said = capsys.readouterr()
    assert "far from zero" not in said.err
    assert "gemm0: its output lies between" in " ".join(said.out.split())
