from __future__ import annotations

import warnings

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import helper

from qconv.data_free.running_statistics import remembered_layers
from qconv.data_free.statistics_matching import match, smoothed
from qconv.data_free.statistics_network import MomentNetwork
from qconv.model.session import open_session
from tests.networks import network, pictures

RNG = np.random.default_rng(3)
WEIGHTS = {"w1": RNG.standard_normal((4, 3, 3, 3)), "w2": RNG.standard_normal((5, 4, 3, 3))}


def two_layers(statistics: dict[str, NDArray[np.float32]] | None = None) -> ir.Model:
    """Conv, batch norm, Relu, Conv, batch norm, with the given statistics m1, v1, m2, v2."""
    constants = {name: weight.astype(np.float32) for name, weight in WEIGHTS.items()}
    for layer, channels in ((1, 4), (2, 5)):
        constants |= {f"{name}{layer}": np.full(channels, value, np.float32) for name, value in {"g": 1, "b": 0.2}.items()}
        constants |= {f"m{layer}": np.zeros(channels, np.float32), f"v{layer}": np.ones(channels, np.float32)}
    constants |= statistics or {}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "g1", "b1", "m1", "v1"], ["n1"], name="first"),
        helper.make_node("Relu", ["n1"], ["r"]),
        helper.make_node("Conv", ["r", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c2", "g2", "b2", "m2", "v2"], ["y"], name="second"),
    ]
    return network(nodes, {"x": ["N", 3, 8, 8]}, ["y"], constants)


def taught() -> ir.Model:
    """Two layers that remember pictures which are brighter, and vary more, than those of `pictures`."""
    real = np.concatenate(pictures(200, seed=9)) * np.float32(1.5) + np.float32(0.5)
    found: dict[str, NDArray[np.float32]] = {}
    for layer, tensor in ((1, "c1"), (2, "c2")):
        seen = open_session(two_layers(found), outputs=[tensor], threads=1).run(None, {"x": real})[0]
        found |= {f"m{layer}": seen.mean(axis=(0, 2, 3)), f"v{layer}": seen.var(axis=(0, 2, 3))}
    return two_layers(found)


def opened(model: ir.Model) -> MomentNetwork:
    return MomentNetwork(model, "x", remembered_layers(model.graph))


def test_moments_are_those_of_the_tensors() -> None:
    model = two_layers({"m1": np.array([0.5, -1, 0, 2], np.float32)})
    (array,) = pictures(1)
    first, second, _ = opened(model).run(array, opened(model).no_slopes)
    layers = remembered_layers(model.graph)
    outputs = open_session(model, outputs=[layer.tensor for layer in layers], threads=1).run(None, {"x": array})
    less = [output - layer.mean.reshape(-1, 1, 1) for output, layer in zip(outputs, layers, strict=True)]
    np.testing.assert_allclose(first, np.concatenate([u.mean(axis=(0, 2, 3)) for u in less]), atol=1e-5)  # float32 sums
    np.testing.assert_allclose(second, np.concatenate([np.square(u).mean(axis=(0, 2, 3)) for u in less]), rtol=1e-5)


def test_the_gradient_is_that_of_the_gap() -> None:
    net, samples = opened(taught()), pictures(2)

    def gaps(samples: list[NDArray[np.float32]]) -> float:
        found = net.gaps(*np.mean([net.run(sample, net.no_slopes)[:2] for sample in samples], axis=0))
        return found.mean * 2

    slopes = net.gaps(*np.mean([net.run(sample, net.no_slopes)[:2] for sample in samples], axis=0)).slopes()
    gradient = net.run(samples[0], slopes)[2]
    assert gradient is not None
    length = float(np.sqrt(np.square(gradient).sum()))
    step = np.float32(0.01 / length) * gradient
    measured = (gaps([samples[0] + step, samples[1]]) - gaps([samples[0] - step, samples[1]])) / 0.02
    assert measured == pytest.approx(length / 2, rel=0.02)  # half: one of two samples; Relu's corners


def test_moved_samples_have_the_remembered_moments_in_every_layer() -> None:
    found = match(opened(taught()), pictures(16), rounds=150)
    assert found.before.mean > 0.1
    assert max(found.after.by_layer.values()) < 1e-3  # 3072 elements for 18 moments; 2e-5 and 9e-5 when this was written
    assert np.abs(found.after.first / np.sqrt(found.after.remembered)).max() < 0.1
    assert np.abs(np.log(found.after.variance / found.after.remembered)).max() < 0.1


def test_samples_stay_in_their_box_and_those_given_are_not_changed() -> None:
    samples = [np.clip(sample, -1, 1) for sample in pictures(4)]
    copies = [sample.copy() for sample in samples]
    found = match(opened(taught()), samples, rounds=10, box=(-1.0, 1.0))
    assert found.after.mean < found.before.mean
    assert max(np.abs(sample).max() for sample in found.samples) == 1.0
    assert all(np.array_equal(*pair) for pair in zip(samples, copies, strict=True))


def test_without_rounds_or_a_way_to_the_input_samples_stay() -> None:
    samples = pictures(2)
    for model, rounds in ((taught(), 0), (behind_a_cosine(), 5)):
        found = match(opened(model), samples, rounds)
        assert found.after is found.before
        assert all(np.array_equal(*pair) for pair in zip(samples, found.samples, strict=True))


def behind_a_cosine() -> ir.Model:
    model = taught()
    conv = next(node for node in model.graph if node.op_type == "Conv")
    cosine = ir.node("Cos", [conv.inputs[0]], name="cosine")
    model.graph.insert_before(conv, cosine)
    conv.replace_input_with(0, cosine.outputs[0])
    return model


def test_smoothing_divides_by_the_frequency() -> None:
    columns = np.arange(16)
    waves = [np.cos(2 * np.pi * count * columns / 16) * np.ones((1, 1, 16, 1)) for count in (1, 4)]
    found = smoothed(sum(waves, np.zeros((1, 1, 16, 16))).astype(np.float32))
    np.testing.assert_allclose(found, 16 * waves[0] + 4 * waves[1], atol=1e-4)  # float32 of values up to 20
    sequence = RNG.standard_normal((1, 5)).astype(np.float32)
    np.testing.assert_array_equal(smoothed(sequence), sequence)


def test_a_network_that_overflows_leaves_the_samples() -> None:
    model = taught()
    weight = next(node for node in model.graph if node.op_type == "Conv").inputs[1]
    assert weight is not None and weight.const_value is not None
    weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1e37))
    samples = pictures(2)
    with warnings.catch_warnings(action="error"):
        found = match(opened(model), samples, rounds=3)
    assert not found.after.mean < found.before.mean
    assert all(np.array_equal(*pair) for pair in zip(samples, found.samples, strict=True))
