"""Pairs around float operators: the same bytes in onnxruntime, and the same decisions when they are imported again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from qconv.export.qdq import qdq_model
from qconv.import_ import import_quantized
from qconv.integer.file_form import file_form
from qconv.model.graph import const_array
from qconv.model.load import load
from qconv.model.save import save
from qconv.model.session import open_session
from tests.export.test_network import model_of, runs
from tests.lower.test_fine import result_of
from tests.lower.test_ops import CASES, Case

# Operators that onnxruntime fuses on every x86; ties of others may be rounded in float.
NAMES = {"Conv", "Conv grouped", "Conv depthwise", "Conv, Relu", "Gemm", "Gemm transposed", "MatMul"}
FUSED = [case for case in CASES if case.name in NAMES]


@pytest.mark.parametrize("case", FUSED, ids=lambda case: case.name)
def test_the_bytes_are_those_of_the_integer_model(case: Case, tmp_path: Path) -> None:
    model = model_of(case, tmp_path)
    pairs = qdq_model(model)
    assert not [node.op_type for node in pairs.graph if node.op_type.startswith(("QLinear", "QGemm"))]
    sessions = open_session(model), open_session(pairs)
    for values in runs(model, 4):
        feeds = {str(value.name): values[str(value.name)] for value in model.graph.inputs}
        first, second = (session.run(None, feeds) for session in sessions)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("case", FUSED, ids=lambda case: case.name)
def test_the_pairs_run_where_nothing_fuses_them(case: Case, tmp_path: Path) -> None:
    """ONNX wants a zero point for each scale, which onnxruntime looks at only where it fuses nothing; a file has one for all."""
    save(file_form(model_of(case, tmp_path)), tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx").ir
    pairs = qdq_model(model)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(ir.to_proto(pairs).SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = runs(model, 1)[0]
    found = session.run(None, {str(value.name): values[str(value.name)] for value in model.graph.inputs})
    assert [array.shape for array in found] == [values[str(value.name)].shape for value in model.graph.outputs]
    for node in pairs.graph:
        if node.op_type == "DequantizeLinear" and (scale := const_array(node.inputs[1])) is not None:
            zero_point = const_array(node.inputs[2])
            assert zero_point is not None and zero_point.shape == scale.shape


def test_every_weight_comes_back(tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == "Conv")
    pairs = qdq_model(model_of(case, tmp_path))
    found = import_quantized(pairs)
    assert len(found.pins.weights) == 1
    assert {node.op_type for node in pairs.graph} == {"Conv"}


def test_scores_in_16_bits_are_a_product_of_pairs(tmp_path: Path) -> None:
    """Every runtime has the float product; the integer one rounds to steps of 2^-16 of the largest score, and its factors."""
    model = result_of(tmp_path, "product").quantized.model
    pairs = qdq_model(model)
    assert [node.op_type for node in pairs.graph][-2:] == ["MatMul", "Add"]
    assert not [node for node in pairs.graph if node.op_type in ("MatMulInteger", "Cast")]
    feed = {"x": np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)}
    codes, reals = (open_session(network).run(None, feed)[0] for network in (model, pairs))
    assert np.abs(codes - reals).max() < 1e-3 * np.abs(codes).max()
