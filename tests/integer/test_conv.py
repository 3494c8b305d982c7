"""QLinearConv in all its forms, equal to onnxruntime on every element."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import DTypeLike

from tests.integer.onenode import Array, assert_equal, codes, differing, dyadic, f32, one_node, zero

FORMS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((2, 8, 13, 14), (16, 8, 3, 3), {"pads": [1, 1, 1, 1]}),
    "1x1": ((2, 8, 9, 9), (12, 8, 1, 1), {}),
    "strides and uneven pads": ((1, 3, 20, 21), (16, 3, 3, 5), {"pads": [0, 1, 2, 1], "strides": [2, 3]}),
    "dilation": ((1, 3, 20, 21), (5, 3, 3, 5), {"pads": [3, 1, 2, 1], "dilations": [2, 3]}),
    "depthwise": ((2, 16, 12, 13), (16, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 16}),
    "depthwise dilated": ((1, 16, 12, 13), (16, 1, 3, 3), {"pads": [2, 2, 2, 2], "group": 16, "dilations": [2, 2]}),
    "depthwise with multiplier 2": ((2, 6, 12, 13), (12, 1, 3, 3), {"group": 6, "strides": [2, 2]}),
    "groups": ((2, 16, 12, 13), (32, 4, 3, 3), {"pads": [1, 1, 1, 1], "group": 4}),
    "1-D": ((2, 16, 50), (32, 16, 5), {"pads": [1, 2]}),
    "1-D depthwise": ((2, 16, 50), (16, 1, 5), {"pads": [4, 0], "group": 16, "strides": [2]}),
    "3-D": ((2, 4, 7, 8, 9), (8, 4, 3, 3, 3), {"pads": [1] * 6}),
    "3-D groups, strides, dilation": (
        (1, 4, 9, 8, 9),
        (8, 2, 3, 2, 3),
        {"group": 2, "strides": [1, 2, 1], "dilations": [2, 1, 2]},
    ),
    "same upper": ((1, 4, 11, 12), (8, 4, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "same lower": ((1, 4, 11, 12), (8, 4, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    "valid": ((1, 4, 11, 12), (8, 4, 4, 3), {"auto_pad": "VALID"}),
    "several blocks of rows": ((1, 64, 70, 70), (4, 64, 3, 3), {"pads": [1, 1, 1, 1]}),
}


def conv(
    shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    attributes: dict[str, Any],
    *,
    x_type: DTypeLike = np.uint8,
    w_type: DTypeLike = np.int8,
    per_channel: bool = True,
    bias: bool = True,
    constant_weight: bool = True,
    seed: int = 0,
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A QLinearConv whose multipliers are exact in float32."""
    rng = np.random.default_rng(seed)
    channels = weight_shape[0]
    w_zero_point = np.zeros(channels, w_type) if per_channel else zero(0 if w_type is np.int8 else 121, w_type)
    inputs = [codes(rng, shape, x_type), f32(2**-4), zero(100 if x_type is np.uint8 else -7, x_type)]
    inputs += [codes(rng, weight_shape, w_type), dyadic(rng, channels if per_channel else None), w_zero_point]
    inputs += [f32(0.5), zero(121 if x_type is np.uint8 else 3, x_type)]
    inputs += [rng.integers(-5000, 5000, channels, np.int32)] if bias else []
    dynamic = (0,) if constant_weight else (0, 3)
    return one_node("QLinearConv", inputs, attributes=attributes, outputs=[x_type], dynamic=dynamic)


@pytest.mark.parametrize("form", FORMS)
def test_geometry(form: str) -> None:
    assert_equal(*conv(*FORMS[form]))


@pytest.mark.parametrize("form", ["3x3", "depthwise", "groups", "1-D"])
@pytest.mark.parametrize(("x_type", "w_type"), [(np.uint8, np.uint8), (np.int8, np.int8)])
def test_element_types(form: str, x_type: DTypeLike, w_type: DTypeLike) -> None:
    assert_equal(*conv(*FORMS[form], x_type=x_type, w_type=w_type, per_channel=w_type is np.int8))


@pytest.mark.parametrize("form", FORMS)
def test_parts_of_a_few_lines_or_channels(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qconv.integer.execution.kernels.conv._PART_BYTES", 2000)
    assert_equal(*conv(*FORMS[form]))


@pytest.mark.parametrize("form", ["3x3", "depthwise"])
def test_one_scale_for_all_channels_without_bias(form: str) -> None:
    assert_equal(*conv(*FORMS[form], per_channel=False, bias=False))


def test_a_weight_that_is_computed() -> None:
    assert_equal(*conv(*FORMS["3x3"], constant_weight=False))


def test_sums_beyond_float32() -> None:
    """512 * 9 * 128 * 127 is above 2^24, so the sums are formed in float64."""
    assert_equal(*conv((1, 512, 6, 6), (8, 512, 3, 3), {}))


def test_ties_go_to_even() -> None:
    """acc runs over 0..255 and M is 1/2: every odd accumulator is a tie."""
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    weight, one = np.ones((1, 1, 1, 1), np.int8), f32(1)
    model, feeds = one_node("QLinearConv", [x, one, zero(0), weight, one, zero(0, np.int8), f32(2), zero(5)])
    assert_equal(model, feeds)


def test_ordinary_scales_differ_by_a_few_in_a_million_at_most() -> None:
    """Scales that are not certified: up to 5 in a million were measured; 20 is a bound for ten layers."""
    rng = np.random.default_rng(1)
    differences = elements = 0
    for _ in range(10):
        scales = rng.uniform(0.001, 0.02, 32).astype(np.float32)
        inputs = [codes(rng, (1, 16, 40, 40)), f32(rng.uniform(0.01, 0.05)), zero(128), codes(rng, (32, 16, 3, 3), np.int8)]
        inputs += [scales, np.zeros(32, np.int8), f32(rng.uniform(0.1, 0.4)), zero(128)]
        count, total = differing(*one_node("QLinearConv", inputs))
        differences, elements = differences + count, elements + total
    assert differences <= elements * 20 // 1_000_000


@pytest.mark.parametrize("form", ["3x3", "strides and uneven pads", "depthwise", "1-D", "same upper"])
def test_the_sums_alone_are_those_of_onnxruntime(form: str) -> None:
    shape, weight_shape, attributes = FORMS[form]
    rng = np.random.default_rng(0)
    inputs = [codes(rng, shape), codes(rng, weight_shape, np.int8), zero(7)]
    assert_equal(*one_node("ConvInteger", inputs, outputs=[np.int32], attributes=attributes))
