"""What training simulates is what the integer network computes, code for code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import qconv
from qconv import QuantConfig, Rule
from qconv.pipeline.prepared import prepared
from qconv.train import SimulatedNetwork, Training, export
from tests.train.networks import NETWORKS, few_valued, samples, trained

TRAINED = Training(delay=5, freeze=20)


def integers(network: SimulatedNetwork, folder: Path, config: QuantConfig) -> tuple[qconv.pipeline.Quantized, Path]:  # type: ignore[name-defined]
    """The network exported and quantized, with every scale of the file in the plan."""
    source, target = folder / "net.onnx", folder / "net.int8.onnx"
    export(network, source, input_names=["image"], output_names=["logits"])
    result = qconv.quantize(source, qconv.calibrate(source, config=config), config=config)
    result.save(target)
    assert result.plan.float_nodes == {}
    pins = prepared(source).imported
    assert pins is not None
    used = set(result.plan.tensors.values())
    assert set(pins.pins.activations.values()) <= used
    assert pins.notes == ()
    return result, target


def logits_of(path: Path, images: torch.Tensor) -> NDArray[np.float32]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images.numpy()})[0])


def check_equal(network: SimulatedNetwork, folder: Path, config: QuantConfig = QuantConfig()) -> None:
    _, path = integers(network, folder, config)
    images = samples(64)[0]
    with torch.no_grad():
        simulated = network.eval()(images).numpy()
    np.testing.assert_array_equal(simulated, logits_of(path, images))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_at_8_bits(name: str, tmp_path: Path) -> None:
    check_equal(trained(NETWORKS[name]()), tmp_path)


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_fewer_bits(bits: int, per_tensor: bool, tmp_path: Path) -> None:
    config = QuantConfig(weight_bits=bits, activation_bits=bits, per_tensor=per_tensor)
    check_equal(trained(NETWORKS["mobile"](), config), tmp_path)


@pytest.mark.parametrize("name", ["mobile", "residual"])
@pytest.mark.parametrize("ranges", ["ema", "lsq", "lsq+", "pact"])
def test_every_way_to_find_ranges(name: str, ranges: str, tmp_path: Path) -> None:
    weights = "minmax" if ranges == "ema" else "lsq"
    training = Training(activations=ranges, weights=weights, delay=5, freeze=20)  # type: ignore[arg-type]
    check_equal(trained(NETWORKS[name](), training=training), tmp_path)


def test_noise_and_random_rounding_end_with_training(tmp_path: Path) -> None:
    check_equal(trained(NETWORKS["mobile"](), training=Training(delay=5, freeze=20, noise=0.5, stochastic=True)), tmp_path)


def test_other_targets(tmp_path: Path) -> None:
    check_equal(trained(NETWORKS["residual"](), QuantConfig(target="arm")), tmp_path, QuantConfig(target="arm"))


def test_bits_by_rules(tmp_path: Path) -> None:
    config = QuantConfig(
        weight_bits=4, activation_bits=4, rules=[Rule(["0.*"], weight_bits=8), Rule("Linear", activation_bits=8)]
    )
    network = trained(NETWORKS["mobile"](), config)
    check_equal(network, tmp_path)
    assert network.network.get_submodule("0.0").rounding.limit == 127
    assert network.network.get_submodule("1.0").rounding.limit == 7


@pytest.mark.parametrize("values", ["binary", "ternary", "powers"])
@pytest.mark.parametrize("scaled", [False, True])
def test_few_values(values: str, scaled: bool, tmp_path: Path) -> None:
    module = few_valued(values, scaled=scaled)  # type: ignore[arg-type]
    network = trained(module, training=Training(activations="ema", delay=0), steps=60)
    result, path = integers(network, tmp_path, QuantConfig())
    images, labels = samples(256)
    logits = logits_of(path, images)
    with torch.no_grad():
        np.testing.assert_array_equal(network(images).numpy(), logits)
    assert np.mean(logits.argmax(1) == labels.numpy()) > 0.9
    assert result.lowering is not None
    signs = {params.ends for params in result.plan.tensors.values() if params.int_type.bits == 2 and params.axis is None}
    assert (-1.0, 1.0) in signs


def test_evaluation_leaves_the_parameters_as_they_are() -> None:
    """A network that was looked at goes on training."""
    network = trained(few_valued("binary", scaled=False), training=Training(activations="ema", delay=0), steps=10)
    known = [*network.parameters(), *network.buffers()]
    network.eval()(samples(4)[0])
    assert all(one is other for one, other in zip(known, (*network.parameters(), *network.buffers()), strict=True))


def test_signs_are_those_of_the_module_as_it_was_trained(tmp_path: Path) -> None:
    """Sample for sample: thresholds are where the float batch norms change their sign."""
    module = few_valued("binary", scaled=False)
    network = trained(module, training=Training(activations="ema", delay=0), steps=60)
    _, path = integers(network, tmp_path, QuantConfig())
    images = samples(256)[0]
    layers: list[nn.Module] = [m for m in network.network.modules() if hasattr(m, "sign")]
    with torch.no_grad():
        x = network.network.get_submodule("input_1_codes")(images) if hasattr(network.network, "input_1_codes") else images
        for layer in layers:
            x = x.flatten(1) if layer is layers[-1] else x
            x = layer.layer(x)
            x = layer.norm(x.float()) if layer.norm is not None else x  # whose parameters are float32
            x = layer.sign(x) if layer.sign is not None else x
    assert np.array_equal(x.argmax(1).numpy(), logits_of(path, images).argmax(1))
