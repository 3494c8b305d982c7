"""Recovery of a whole network: closer to float on samples it never saw, exact, deterministic, and harmless."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import ArtifactError, UsageError
from qconv.integer.saturation import saturating_steps
from qconv.model.session import open_session
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.level_sets import Kind
from qconv.recover.stages import Stages
from tests.lower.harness import Given, Result, quantize_graph, write_model

NETWORK = """g (float[1,3,12,12] x) => (float[1,5] y) {
    a = Conv<pads=[1,1,1,1]>(x, w1, b1)
    c = Relu(a)
    d = Conv<group=8, pads=[1,1,1,1]>(c, w2)
    e = Clip(d, zero, six)
    f = Conv(e, w3, b3)
    p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c)
    u = MaxPool<kernel_shape=[2,2], strides=[2,2]>(f)
    s = Add(p, u)
    m = GlobalAveragePool(s)
    r = Flatten(m)
    t = MatMul(r, w4)
    y = Add(t, b4)
}"""
FLOAT = np.float32


def _weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "b3": (8,), "w4": (8, 5), "b4": (5,)}
    weights = {name: rng.normal(size=shape).astype(FLOAT) for name, shape in shapes.items()}
    return weights | {"zero": np.asarray(0, FLOAT), "six": np.asarray(6, FLOAT)}


def _samples(count: int, seed: int) -> list[dict[str, NDArray[np.float32]]]:
    """Pictures whose neighbours are alike, as those of cameras are."""
    rng = np.random.default_rng(seed)
    smooth = [np.cumsum(np.cumsum(rng.normal(size=(1, 3, 12, 12)), axis=2), axis=3) for _ in range(count)]
    return [{"x": (picture / np.abs(picture).max()).astype(FLOAT)} for picture in smooth]


def _quantized(folder: Path, config: QuantConfig, samples: list[dict[str, NDArray[np.float32]]]) -> pipeline.Quantized:
    path = write_model(folder / "model.onnx", NETWORK, _weights())
    calibration = pipeline.calibrate(path, Given(samples), config=config)
    return pipeline.quantize(path, calibration, config=config, samples=Given(samples))


@pytest.mark.parametrize(("bits", "gain_db"), [(6, 1.0), (4, 3.0)])
def test_the_outputs_come_closer_on_samples_that_were_not_seen(bits: int, gain_db: float, tmp_path: Path) -> None:
    seen, unseen = _samples(40, 1), _samples(40, 2)
    results = [
        Result(tmp_path / "model.onnx", _quantized(tmp_path, QuantConfig(weight_bits=bits, effort=effort), seen), unseen)
        for effort in ("none", "fast")
    ]
    nearest, recovered = results
    assert recovered.sqnr_db() > nearest.sqnr_db() + gain_db
    recovered.assert_exact()
    assert list(saturating_steps(recovered.quantized.lowering.program)) == []
    assert nearest.quantized.recovery is None
    assert recovered.quantized.recovery is not None
    assert recovered.quantized.recovery.weights.noise_after < recovered.quantized.recovery.weights.noise_before


def test_the_same_samples_give_the_same_plan_and_it_survives_its_file(tmp_path: Path) -> None:
    samples = _samples(12, 1)
    first, second = (_quantized(tmp_path, QuantConfig(weight_bits=4), samples) for _ in range(2))
    assert first.plan.dumps() == second.plan.dumps()
    assert first.plan.weight_codes != {}
    (tmp_path / "plan.json").write_text(first.plan.dumps())
    loaded = QuantPlan.load(tmp_path / "plan.json")
    calibration = pipeline.calibrate(tmp_path / "model.onnx", Given(samples))
    again = pipeline.quantize(tmp_path / "model.onnx", calibration, config=QuantConfig(weight_bits=4), plan=loaded)
    assert ir.to_proto(again.model.graph).SerializeToString() == ir.to_proto(first.model.graph).SerializeToString()


def test_weights_of_few_bits_take_a_codebook_where_samples_like_it_better(tmp_path: Path) -> None:
    seen, unseen = _samples(40, 1), _samples(40, 2)
    kinds: tuple[Kind, ...] = ("uniform", "auto")
    even, chosen = (_quantized(tmp_path, QuantConfig(weight_bits=4, levels=kind), seen) for kind in kinds)
    largest = {name: int(np.abs(codes).max()) for name, codes in chosen.plan.weight_codes.items()}
    assert max(largest.values()) > 8  # of codebooks; evenly spaced codes end at 7
    assert max(int(np.abs(codes).max()) for codes in even.plan.weight_codes.values()) <= 7
    assert all(len(np.unique(codes)) <= 16 for codes in chosen.plan.weight_codes.values())
    results = [Result(tmp_path / "model.onnx", found, unseen) for found in (even, chosen)]
    assert results[1].sqnr_db() > results[0].sqnr_db()
    results[1].assert_exact()


@pytest.mark.parametrize("config", [QuantConfig(), QuantConfig(4, 8, target="portable"), QuantConfig(4, 8, pow2=True)])
def test_other_weights_are_evenly_spaced(config: QuantConfig, tmp_path: Path) -> None:
    plan = _quantized(tmp_path, config, _samples(12, 1)).plan
    assert all(plan.tensors[name].int_type.bits == config.weight_bits for name in plan.weight_codes)


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_samples_do_no_harm(count: int, tmp_path: Path) -> None:
    recovered = _quantized(tmp_path, QuantConfig(weight_bits=4), _samples(count, 1)).recovery
    assert recovered is not None
    assert recovered.weights.noise_after <= recovered.weights.noise_before


def test_a_node_that_the_plan_leaves_in_float_has_no_codes(tmp_path: Path) -> None:
    """The product leaves int32 (kernel_limits.py), which is known from the calibrated ranges alone."""
    text = """g (float[1,3] a, float[1,3] b) => (float[1,3] z, float[1,2] y) {
        z = Mul(a, b)
        y = MatMul(a, w)
    }"""
    path = write_model(tmp_path / "model.onnx", text, {"w": np.asarray([[1, 2], [3, -4], [0.3, 0.4]], FLOAT)})
    rows = [([4e3, 0, 1], [0, 3e3, 0]), ([1e-2, 0, -5e3], [1e-2, 0, 0])]
    samples = [{"a": np.asarray([a], FLOAT), "b": np.asarray([b], FLOAT)} for a, b in rows]
    calibration = pipeline.calibrate(path, Given(samples))
    found = pipeline.quantize(path, calibration, samples=Given(samples))
    assert len(found.plan.float_nodes) == 1
    assert found.recovery is not None


def test_samples_that_were_made_up_are_not_fitted_to(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx", NETWORK, _weights())
    loaded = pipeline.load_prepared(path)
    assert pipeline.quantize(loaded, pipeline.calibrate(path)).recovery is None


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(UsageError, match="effort takes none, fast or full, not some"):
        QuantConfig(effort="some")  # type: ignore[arg-type]


def test_codes_and_biases_of_a_plan_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weights, samples = {"w": np.ones((2, 4, 1, 1), FLOAT)}, [{"x": np.ones((1, 4, 6, 6), FLOAT)}]
    text = "g (float[1,4,6,6] x) => (float[1,2,6,6] y) { y = Conv(x, w) }"
    plan = quantize_graph(tmp_path, text, weights, samples).quantized.plan
    codes = np.full((2, 4, 1, 1), 100, np.int8)
    faults = {
        "have the shape": {"weight_codes": {"w": codes[:1]}},
        "not of the type int8": {"weight_codes": {"w": np.full_like(codes, -128)}},
        "3 entries, not 2": {"biases": {"w": np.zeros(3, FLOAT)}},
    }
    for message, fields in faults.items():
        damaged = QuantPlan(plan.tensors, plan.float_nodes, **fields)  # type: ignore[arg-type]
        with pytest.raises(ArtifactError, match=message):
            quantize_graph(tmp_path, text, weights, samples, plan=damaged)


def test_stages_compute_what_the_whole_computes(tmp_path: Path) -> None:
    model = pipeline.load_prepared(write_model(tmp_path / "model.onnx", NETWORK, _weights())).ir
    samples = _samples(3, 5)
    layers = [node for node in model.graph if node.op_type in ("Conv", "MatMul")]
    names = [str(node.inputs[0].name) for node in layers if node.inputs[0] is not None]
    stages = Stages(model, layers, samples, 1)
    found = [list(stages.advance([name])) for name in names]
    session = open_session(model, outputs=names, threads=1)
    for index, sample in enumerate(samples):
        for stage, name, expected in zip(found, names, session.run(None, sample), strict=True):
            np.testing.assert_allclose(
                stage[index][name].astype(np.float64), expected, rtol=1e-5, atol=1e-5
            )  # onnxruntime fuses other nodes
