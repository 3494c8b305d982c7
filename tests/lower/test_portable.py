"""Every op of the table for other runtimes: ai.onnx alone, exact in onnxruntime, and the same bits from onnx's own reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.integer.language.multipliers import constant
from qconv.integer.standard import foreign_to_others
from qconv.model.session import open_session
from tests.lower.harness import Array, Given, normal, quantize_graph
from tests.lower.test_ops import CASES, Case

PORTABLE = QuantConfig(target="portable")
SAMPLES = Path(__file__).parents[2] / "sample_models"
# onnx's reference has no negative pads.
_REFUSED_BY_REFERENCE = ("Pad negative",)


def run_reference(model: ir.Model, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs by onnx's reference implementation."""
    return [np.asarray(output) for output in ReferenceEvaluator(ir.to_proto(model)).run(None, dict(feeds))]


def run_onnxruntime(model: ir.Model, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs by onnxruntime."""
    return [np.asarray(output) for output in open_session(model, threads=1).run(None, dict(feeds))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_op_gives_the_same_bits_in_onnx_reference(case: Case, tmp_path: Path) -> None:
    feeds = [{name: normal(*shape, seed=10 * i + j) for j, (name, shape) in enumerate(case.shapes.items())} for i in range(2)]
    result = quantize_graph(tmp_path, case.text, case.weights, feeds, config=PORTABLE)
    model = result.quantized.model
    assert result.quantized.audit.float_nodes == () and list(foreign_to_others(result.quantized.lowering.program)) == []
    assert list(model.opset_imports) == [""]
    result.assert_exact()
    assert result.sqnr_db() > case.sqnr - 1  # few scales for a weight may cost 1 dB
    if case.name not in _REFUSED_BY_REFERENCE:
        for ours, theirs in zip(run_onnxruntime(model, feeds[0]), run_reference(model, feeds[0]), strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_mobilenet", "digits_resnet", "digits_se"])
def test_sample_models_give_the_same_bits_in_onnx_reference(name: str) -> None:
    with np.load(SAMPLES / "digits_calib.npz") as arrays:
        images = arrays[arrays.files[0]][:8].astype(np.float32)
    path = SAMPLES / f"{name}.onnx"
    key = str(pipeline.load_prepared(path).ir.graph.inputs[0].name)
    samples = Given([{key: image[None]} for image in images])
    result = pipeline.quantize(path, pipeline.calibrate(path, samples), config=QuantConfig(target="portable", effort="none"))
    assert result.audit.integer_only and "portable" in result.model.metadata_props["qconv.exact_on"]
    for image in images[:2]:
        ours, theirs = (run(result.model, {key: image[None]}) for run in (run_onnxruntime, run_reference))
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("groups", [1, 8])
def test_a_layer_of_unlike_channels_is_split_by_its_scale(groups: int, tmp_path: Path) -> None:
    spread = np.exp2(np.arange(8) % 4 * 2.0).astype(np.float32).reshape(8, 1, 1, 1)
    weights = {"w": normal(8, 8 // groups, 3, 3) * spread}
    text = f"g (float[1,8,6,6] x) => (float[1,8,4,4] y) {{ y = Conv<group={groups}>(x, w) }}"
    result = quantize_graph(tmp_path, text, weights, [{"x": normal(1, 8, 6, 6, seed=i)} for i in range(4)], config=PORTABLE)
    layers = [node for node in result.quantized.model.graph if node.op_type == "QLinearConv"]
    scales = [constant(node, 4) for node in layers]
    assert 2 <= len(layers) <= 4 and all(scale is not None and scale.ndim == 0 for scale in scales)
    certificates = [c for c in result.quantized.lowering.program.certificates.values() if not c.ties]
    assert len(certificates) >= len(layers)  # no halves that runtimes round differently
    result.assert_exact()


def test_pixels_over_minus_one_to_one_are_no_ties(tmp_path: Path) -> None:
    pixels = (np.arange(256, dtype=np.float32) / 127.5 - 1.0)[None]
    text = "g (float[1,256] x) => (float[1,256] y) { y = Relu(x) }"
    result = quantize_graph(tmp_path, text, {}, [{"x": pixels}], config=PORTABLE)
    steps = pixels.astype(np.float64) / float(result.quantized.plan.tensors["x"].scale)
    assert (np.abs(steps % 1.0 - 0.5) > 2.0**-14).all()


def test_a_pool_of_unknown_size_leaves_padding_out(tmp_path: Path) -> None:
    text = "g (float[1,3,h,w] x) => (float[1,3,p,q] y) { y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) }"
    result = quantize_graph(tmp_path, text, {}, [{"x": normal(1, 3, 7 + i, 9, seed=i)} for i in range(4)], config=PORTABLE)
    assert "ConvInteger" in result.ops
    result.assert_exact()
    assert result.sqnr_db() > 30  # means keep the scale of what they are means of
