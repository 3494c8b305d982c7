from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from qconv.data_free.running_statistics import Gaps, Layer, remembered_layers
from tests.networks import network

EPSILON = 0.5


def layer(name: str, *variances: float) -> Layer:
    return Layer(name, f"input of {name}", np.zeros(len(variances)), np.array(variances) + EPSILON, EPSILON)


def test_the_gap_is_the_divergence_between_normal_distributions() -> None:
    same, shifted, wider = (0.0, 1.0), (2.0, 5.0), (0.0, 1.0 + 1.5 * (np.e - 1))  # (first, second); V + epsilon is 1.5
    found = Gaps([layer("a", 1.0, 1.0, 1.0)], *np.transpose([same, shifted, wider]))
    assert found.channels == pytest.approx([0.0, 2.0**2 / 1.5 / 2, (np.e - 1 - 1) / 2])
    assert found.by_layer == {"a": pytest.approx(found.channels.mean())}


def test_errors_of_means_and_variances_are_told_apart() -> None:
    first, variance = np.array([3.0, 0.0]), np.array([1.0, 7.0])
    found = Gaps([layer("a", 1.0, 1.0)], first, variance + np.square(first))
    assert found.mean_error == pytest.approx(np.sqrt(9 / 1.5 / 2))
    assert found.variance_factor == pytest.approx(np.sqrt(7.5 / 1.5))  # the middle, in logarithms, of 1 and 5


def test_a_dead_channel_counts_as_its_batch_norm_shows_it() -> None:
    found = Gaps([layer("a", 0.0)], np.zeros(1), np.array([EPSILON]))
    assert found.channels == pytest.approx([(2 - 1 - np.log(2)) / 2])


def test_layers_count_alike_and_the_worst_is_named() -> None:
    gaps = Gaps([layer("small", 1.0), layer("large", 1.0, 1.0, 1.0)], np.array([3.0, 0, 0, 0]), np.array([10.0, 1, 1, 1]))
    assert gaps.by_layer == pytest.approx({"small": 3.0, "large": 0.0})
    assert gaps.mean == pytest.approx(1.5)
    assert gaps.sentence() == "1.5 nats to what 2 batch norms remember, at worst 3 at 'small'"


def test_slopes_tell_how_the_gap_changes_with_the_elements() -> None:
    rng = np.random.default_rng(0)
    layers = [layer("a", 1.0, 2.0), layer("b", 0.3)]
    elements, change = rng.standard_normal((2, 3, 50)) + 0.4

    def gap(elements: np.ndarray) -> float:
        found = Gaps(layers, elements.mean(axis=1), np.square(elements).mean(axis=1))
        return found.mean * len(layers)

    a, b = Gaps(layers, elements.mean(axis=1), np.square(elements).mean(axis=1)).slopes()
    expected = ((a[:, None] + b[:, None] * elements) * change).mean(axis=1).sum()
    measured = (gap(elements + 1e-6 * change) - gap(elements - 1e-6 * change)) / 2e-6
    assert measured == pytest.approx(expected, rel=1e-6)


def test_batch_norms_are_found_with_their_statistics() -> None:
    constants = {name: np.full(3, value, np.float32) for name, value in {"g": 2, "b": 1, "m": 0.25, "v": 4}.items()}
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("BatchNormalization", ["r", "g", "b", "m", "v"], ["n"], name="norm", epsilon=0.5),
        helper.make_node("BatchNormalization", ["n", "g", "b", "m", "v2"], ["y"], name="computed"),
        helper.make_node("Abs", ["v"], ["v2"]),
    ]
    nodes = [nodes[0], nodes[1], nodes[3], nodes[2]]
    (found,) = remembered_layers(network(nodes, {"x": [1, 3, 4, 4]}, ["y"], constants).graph)
    assert (found.name, found.tensor, found.epsilon) == ("norm", "r", 0.5)
    assert found.mean.tolist() == [0.25] * 3 and found.variance.tolist() == [4.5] * 3
