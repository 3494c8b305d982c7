"""Where roundings are put, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qconv import QuantConfig, Rule
from qconv.errors import ModelError, OutputError
from qconv.train import Training, export, prepare
from qconv.train.binarized import Sign
from qconv.train.layers import SimulatedLayer
from qconv.train.quantizers import ActivationQuantizer
from tests.train.networks import NETWORKS, samples


def rounded(module: nn.Module) -> list[str]:
    """The names of the places in which activations are rounded."""
    network = prepare(module, samples(4)[0]).network
    return [str(node.target) for node in network.graph.nodes if node.op == "call_module" and str(node.target).endswith("_codes")]


def test_one_rounding_for_each_fused_layer() -> None:
    assert rounded(NETWORKS["mobile"]()) == ["input_codes", "0_2_codes", "1_2_codes", "2_2_codes", "3_0_codes", "3_2_codes"]


def test_a_sum_is_rounded_behind_its_relu_and_its_operands_are_rounded() -> None:
    assert rounded(NETWORKS["residual"]())[:5] == [
        "input_codes",
        "0_2_codes",
        "1_first_2_codes",
        "1_second_0_codes",
        "1_relu_codes",
    ]


def test_joined_parts_share_a_rounding() -> None:
    network = prepare(NETWORKS["joined"](), samples(4)[0]).network
    places = [m for n, m in network.named_modules(remove_duplicate=False) if isinstance(m, ActivationQuantizer)]
    assert len(places) - len(set(map(id, places))) == 2


def test_batch_norms_are_folded_with_running_statistics() -> None:
    """Equation 14: in evaluation a layer is the float layer up to the rounding of its weights."""
    module = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))
    for _ in range(20):
        module(torch.randn(8, 2, 8, 8) * 3 + 1)
    module.eval()
    network = prepare(
        module, samples(16)[0], QuantConfig(target="x86-vnni"), Training(activations="ema", weights="minmax", delay=0)
    )
    x = samples(16)[0]
    with torch.no_grad():
        exact = module(x)
        error = network.eval()(x) - exact
    assert float(error.abs().max()) < 0.03 * float(exact.abs().max())  # half a step of weights and of both activations


def test_training_uses_the_batch_first_and_running_statistics_later() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))
    network = prepare(module, samples(4)[0], training=Training(freeze=3, delay=100)).train()
    norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    for _ in range(5):
        network(torch.randn(8, 2, 8, 8) + 5)
        seen.append(int(norm.num_batches_tracked))
    assert seen == [1, 2, 2, 2, 2]


def test_rules_and_exclusions(tmp_path: Path) -> None:
    config = QuantConfig(exclude=["3.2"], rules=[Rule(["Conv2d"], weight_bits=4)])
    network = prepare(NETWORKS["mobile"](), samples(4)[0], config)
    assert isinstance(network.network.get_submodule("3.2"), nn.Linear)
    assert network.remarks == ("3.2 stays in float, as is asked for",)
    assert all(m.rounding.limit == 7 for m in network.modules() if isinstance(m, SimulatedLayer))
    export(network, tmp_path / "net.onnx")


@pytest.mark.parametrize("config", [QuantConfig(exclude=["nowhere"]), QuantConfig(rules=[Rule(["Conv7d"], weight_bits=4)])])
def test_patterns_that_fit_nothing(config: QuantConfig) -> None:
    with pytest.raises(ModelError, match="fits no module"):
        prepare(NETWORKS["mobile"](), samples(4)[0], config)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_branches_on_values() -> None:
    with pytest.raises(ModelError, match=r"cannot trace Branching .* has to be rewritten"):
        prepare(Branching(), samples(4)[0])


def test_a_sign_without_a_layer_before_it() -> None:
    with pytest.raises(ModelError, match="follows no few-valued layer"):
        prepare(nn.Sequential(nn.Conv2d(2, 4, 3), Sign()), samples(4)[0])


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        export(prepare(NETWORKS["mobile"](), samples(4)[0]), tmp_path / "missing" / "net.onnx")


def test_the_module_given_is_left_alone() -> None:
    module = NETWORKS["mobile"]()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = prepare(module.train(), samples(4)[0])
    network(samples(8)[0])
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
