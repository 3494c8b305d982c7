from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import parser

from qconv.data.source import Sample
from qconv.errors import DataError, ModelError
from qconv.verify.measure.compare import compare
from qconv.verify.measure.metrics import SimilarityMeter
from qconv.verify.measure.sides import Side
from tests.verify.twins import Listed, samples, twins


def linear(folder: Path, weights: str, name: str = "scores", outputs: int = 3) -> Side:
    """A network of one Gemm: x[1, 2] -> scores[1, 3]."""
    path = folder / f"{name}{abs(hash(weights))}.onnx"
    text = f"""<ir_version: 10, opset_import: ["" : 21]> net (float[1, 2] x) => (float[1, {outputs}] {name})
    <float[2, {outputs}] w = {{{weights}}}> {{ {name} = Gemm (x, w) }}"""
    ir.save(ir.from_proto(parser.parse_model(text)), path)
    return Side(path)


def rows(*values: tuple[float, float], label: int | None = None) -> Listed:
    return Listed(tuple(Sample({"x": np.array([value], np.float32)}, label, str(value)) for value in values))


def test_sums_run_over_all_samples(tmp_path: Path) -> None:
    models = twins(tmp_path)
    sides = Side(models.float_path), Side(models.integer_path, models.program)
    found = compare(*sides, samples(3))
    meter = SimilarityMeter()
    for sample in samples(3):
        meter.add(sides[0].run(sample.feeds)[0], sides[1].run(sample.feeds)[0])
    assert found.samples == 3
    assert [output.name for output in found.outputs] == ["y"]
    assert found.outputs[0].similarity == meter.result()
    assert found.outputs[0].classes is None
    assert found.accuracy is None


def test_agreement_and_accuracy(tmp_path: Path) -> None:
    one, other = linear(tmp_path, "1, 0, 0, 0, 1, 0"), linear(tmp_path, "1, 0, 0, 0, 0, 1")  # the second swaps classes 1 and 2
    found = compare(one, other, rows((1.0, 0.0), (2.0, 0.0), (0.0, 1.0), (3.0, 1.0), label=0))
    classes = found.outputs[0].classes
    assert classes is not None
    assert (classes.top1, classes.decisions) == (0.75, 4)
    assert found.accuracy is not None
    assert (found.accuracy.float_top1, found.accuracy.integer_top1) == (0.75, 0.75)


def test_unlabelled_samples_give_no_accuracy(tmp_path: Path) -> None:
    side = linear(tmp_path, "1, 0, 0, 0, 1, 0")
    found = compare(side, side, rows((1.0, 0.0)))
    assert found.accuracy is None
    assert found.outputs[0].similarity.exact


def test_outputs_are_matched_by_place_where_names_differ(tmp_path: Path) -> None:
    one, other = linear(tmp_path, "1, 0, 0, 0, 1, 0"), linear(tmp_path, "1, 0, 0, 0, 1, 0", "other")
    assert compare(one, other, rows((1.0, 2.0))).outputs[0].similarity.exact


def test_progress_counts_samples(tmp_path: Path) -> None:
    side = linear(tmp_path, "1, 0, 0, 0, 1, 0")
    calls: list[tuple[int, int | None]] = []
    compare(side, side, rows((1.0, 0.0), (0.0, 1.0)), lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_no_samples(tmp_path: Path) -> None:
    side = linear(tmp_path, "1, 0, 0, 0, 1, 0")
    with pytest.raises(DataError, match="a list has no samples"):
        compare(side, side, rows())


def test_other_shapes_are_one_sentence(tmp_path: Path) -> None:
    one, other = linear(tmp_path, "1, 0, 0, 0, 1, 0"), linear(tmp_path, "1, 0, 0, 1", outputs=2)
    with pytest.raises(ModelError, match=r"scores has shape \(1, 2\) in the integer model"):
        compare(one, other, rows((1.0, 0.0)))


def test_missing_input_is_one_sentence(tmp_path: Path) -> None:
    side = linear(tmp_path, "1, 0, 0, 0, 1, 0")
    with pytest.raises(DataError, match="input x"):
        compare(side, side, Listed((Sample({"image": np.array([[1.0, 2.0]], np.float32)}, None, "a"),)))


def test_sample_that_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    side = linear(tmp_path, "1, 0, 0, 0, 1, 0")
    with pytest.raises(ModelError, match="cannot run on the samples"):
        compare(side, side, Listed((Sample({"x": np.array([[1.0, 2.0, 3.0]], np.float32)}, None, "a"),)))
