"""Ranges, gradients and roundings of simulated quantization, against the formulas of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from qconv.errors import UsageError
from qconv.ops.kernel_order import conv_order
from qconv.quant.saturation import quantize_safely, unsafe_pairs
from qconv.quant.types import INT8, UINT8, IntType, QuantParams
from qconv.train import Training, distillation_loss
from qconv.train.binarized import FewValuedConv2d, Sign, binarize, clip_weights
from qconv.train.powers import ShiftAdaMax, ShiftBatchNorm2d, approximate_power, linear_quant, log_quant, rounded_gradient
from qconv.train.quantizers import ActivationQuantizer, Clock, WeightQuantizer
from qconv.train.rounding import mixed, round_stochastically


def quantizer(training: Training, int_type: IntType = UINT8, steps: int = 10_000) -> ActivationQuantizer:
    clock = Clock(training)
    clock.steps += steps
    return ActivationQuantizer(int_type, clock)


def test_ranges_follow_the_extremes_with_a_smoothing_near_one() -> None:
    found = quantizer(Training(activations="ema", delay=100, smoothing=0.9), steps=0)
    for _ in range(300):
        found(torch.tensor([-1.0, 3.0]))
    found(torch.tensor([-2.0, 3.0]))
    assert float(found.low) == pytest.approx(-1.1, abs=1e-5)
    assert float(found.high) == pytest.approx(3.0, abs=1e-5)


def test_during_the_delay_nothing_is_rounded() -> None:
    found = quantizer(Training(delay=1), steps=0)
    x = torch.rand(100)
    assert torch.equal(found(x), x)
    found.clock.steps += 1
    assert not torch.equal(found(x), x)


@pytest.mark.parametrize("ranges", ["ema", "lsq", "lsq+", "pact"])
@pytest.mark.parametrize("int_type", [UINT8, INT8, IntType(4, signed=False), IntType(2, signed=True)])
def test_zero_is_a_code_and_values_are_multiples_of_the_step(ranges: str, int_type: IntType) -> None:
    found = quantizer(Training(activations=ranges, delay=0), int_type)  # type: ignore[arg-type]
    y = found(torch.randn(1000) + 0.3)
    scale, zero_point = found.params()
    codes = (y / scale).round() + zero_point
    assert torch.allclose((codes - zero_point) * scale, y, atol=1e-6)
    assert int_type.qmin <= int(codes.min()) and int(codes.max()) <= int_type.qmax
    assert float(found(torch.zeros(1)).detach()) == 0.0


def test_the_gradient_passes_inside_the_range_and_stops_outside() -> None:
    found = quantizer(Training(activations="ema", delay=0)).eval()
    found.low.fill_(0.0), found.high.fill_(1.0), found.seen.fill_(1.0)
    x = torch.tensor([-0.5, 0.25, 0.75, 1.5], requires_grad=True)
    found(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_the_gradient_of_a_learned_step() -> None:
    """round(x/S) - x/S inside the range, qmax above it, times 1/sqrt(N (qmax - qmin)) (Esser et al. 2020, equation 3).

    By the logarithm of the step it is the step times that.
    """
    found = quantizer(Training(activations="lsq", delay=0), IntType(4, signed=False))
    found.seen.fill_(1.0)
    with torch.no_grad():
        found.log_step.fill_(math.log(0.5))
    x = torch.tensor([0.6, 9.0])
    found(x).sum().backward()
    inside, above = round(0.6 / 0.5) - 0.6 / 0.5, 15
    assert found.log_step.grad is not None
    assert float(found.log_step.grad) == pytest.approx(0.5 * (inside + above) / math.sqrt(2 * 15), rel=1e-5)


def test_the_gradient_of_a_learned_bound() -> None:
    """One for each element above the bound (Choi et al. 2018, equation 3)."""
    found = quantizer(Training(activations="pact", delay=0))
    found.seen.fill_(1.0)
    with torch.no_grad():
        found.log_step.fill_(0.0), found.bound.fill_(2.0)
    found(torch.tensor([0.5, 3.0, 4.0])).sum().backward()
    assert found.bound.grad is not None and float(found.bound.grad) == 2.0


@pytest.mark.parametrize("per_tensor", [False, True])
def test_weights_are_symmetric_without_the_lowest_code(per_tensor: bool) -> None:
    weight = torch.randn(4, 3, 3, 3)
    found = WeightQuantizer(4, 4, 4, Clock(Training(weights="minmax")), per_tensor=per_tensor)
    scale = found.scale(weight, learn=False)
    codes = found.codes(weight, scale)
    assert int(codes.abs().max()) == 7
    assert scale.numel() == (1 if per_tensor else 4)
    assert float((weight - codes * scale).abs().max()) <= float(scale.max()) / 2 + 1e-6


def test_random_rounding_has_the_mean_of_what_it_rounds() -> None:
    rounded = round_stochastically(torch.full((100_000,), 2.3))
    assert set(rounded.tolist()) == {2.0, 3.0}
    assert float(rounded.mean()) == pytest.approx(2.3, abs=0.01)  # six standard deviations of the mean


def test_noise_rounds_a_part() -> None:
    exact, rounded = torch.zeros(100_000), torch.ones(100_000)
    assert float(mixed(exact, rounded, 0.25).mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.equal(mixed(exact, rounded, 1.0), rounded)


def test_binarization_and_its_gradient() -> None:
    r = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    y = binarize(r)
    y.sum().backward()
    assert y.tolist() == [-1.0, -1.0, 1.0, 1.0, 1.0]
    assert r.grad is not None and r.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    drawn = Sign(stochastic=True).train()(torch.full((100_000,), 0.5))
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(Sign(stochastic=True).eval()(torch.full((3,), 0.5)), torch.ones(3))


def test_few_valued_weights() -> None:
    layer = FewValuedConv2d(1, 1, 2, values="ternary", scaled=True, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.5, -0.1], [0.5, -1.0]]]]))
    assert layer.codes().flatten().tolist() == [1, 0, 0, -1]  # the threshold is 0.7 * 0.775
    assert float(layer.factor()) == 1.25
    clip_weights(layer)
    assert float(layer.weight.detach().max()) == 1.0


def test_distillation_is_zero_for_the_teacher_itself() -> None:
    logits = torch.randn(5, 3)
    assert float(distillation_loss(logits, logits)) == pytest.approx(0.0, abs=1e-6)
    labels = logits.argmax(1)
    assert float(distillation_loss(logits, logits, labels, weight=0.0)) == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-6
    )


@pytest.mark.parametrize(
    "wrong", [{"smoothing": 1.0}, {"noise": 0.0}, {"delay": -1}, {"activations": "best"}, {"weights": "pact"}]
)
def test_settings_outside_their_ranges(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Training(**wrong)  # type: ignore[arg-type]


def test_pairs_of_weights_do_not_saturate() -> None:
    """The same codes as those of the integer network, so that its weights arrive unchanged."""
    order = conv_order((5, 3, 3, 3), 1)
    assert order is not None
    weight = torch.rand(5, 3, 3, 3) + 0.5
    found = WeightQuantizer(5, 4, 8, Clock(Training(weights="minmax")), per_tensor=False, order=order)
    codes = found.codes(weight, found.scale(weight, learn=False)).numpy()
    params = QuantParams(found.scale(weight, learn=False).reshape(-1).numpy(), np.zeros(5, np.int8), INT8, 0)
    assert not unsafe_pairs(order.rows(codes)).any()
    assert np.array_equal(codes, quantize_safely(weight.numpy(), params, order))


def test_powers_of_two() -> None:
    x = torch.tensor([0.0, 0.7, 0.71, -3.0, 5.0])
    assert approximate_power(x).tolist() == [0.0, 0.5, 1.0, -4.0, 4.0]  # the root of 1/2 parts 1/2 and 1
    assert linear_quant(torch.tensor([-2.0, -0.3, 0.3, 2.0]), 3).tolist() == [-1.0, -0.25, 0.25, 0.75]
    assert log_quant(torch.tensor([-2.0, -0.3, 0.1, 0.6, 0.001]), 3).tolist() == [-1.0, -0.25, 0.0, 0.5, 0.0]


def test_gradients_of_few_bits() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (rounded_gradient(x, 3) * torch.tensor([1.0, 0.3, 0.01])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 0.25, 0.0]


def test_a_batch_norm_of_shifts() -> None:
    norm = ShiftBatchNorm2d(3)
    for _ in range(200):
        norm.train()(torch.randn(64, 3, 4, 4) * 3 + 1)
    factor = norm.power(norm.running_var)
    assert torch.equal(factor, approximate_power(factor))
    spread = float(norm.eval()(torch.randn(256, 3, 4, 4) * 3 + 1).std().detach())
    assert 2.0**-1.5 < spread < 2.0**1.5  # variance and root are each rounded to a power of two


def test_adamax_by_shifts_finds_a_minimum() -> None:
    x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = ShiftAdaMax([x], lr=2.0**-6)
    for _ in range(600):
        optimizer.zero_grad()
        x.square().sum().backward()
        optimizer.step()
    assert float(x.abs().max().detach()) < 2.0**-5  # two steps of the learning rate
