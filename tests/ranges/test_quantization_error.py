from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.params import params_of_range
from qconv.quant.types import INT8, UINT8, IntType, Scheme
from qconv.ranges.quantization_error import codes_of, mean_squared_errors
from qconv.statistics.summary import Summary

SCHEMES = [
    Scheme(UINT8),
    Scheme(IntType(4, signed=False)),
    Scheme(INT8, symmetric=True),
    Scheme(IntType(6, signed=True, narrow=True), symmetric=True),
    Scheme(UINT8, symmetric=True),
]
RANGES = [(-3.0, 3.0), (-1.0, 2.0), (0.0, 1.5), (-0.3, 0.1), (0.5, 2.0), (-2.0, -0.5), (0.0, 0.0), (0.0, 1e-45)]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("span", RANGES)
def test_parameters_are_those_of_planning(scheme: Scheme, span: tuple[float, float]) -> None:
    params = params_of_range(*span, scheme)
    scale, k_min, k_max = codes_of(np.array([span[0]]), np.array([span[1]]), scheme)
    assert scale[0] == params.scale
    assert k_min[0] == scheme.int_type.qmin - int(params.zero_point)
    assert k_max[0] == scheme.int_type.qmax - int(params.zero_point)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("span", RANGES[:-2])
@pytest.mark.parametrize("rectified", [False, True])
def test_it_is_the_error_of_the_elements(scheme: Scheme, span: tuple[float, float], rectified: bool) -> None:
    elements = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    if rectified:
        elements = np.maximum(elements, 0)
    params = params_of_range(*span, scheme)
    exact = np.mean((params.dequantize(params.quantize(elements)).astype(np.float64) - elements) ** 2)
    (found,) = mean_squared_errors(Summary.of(elements), np.array([span[0]]), np.array([span[1]]), scheme)
    # Where bins are as wide as steps, an element's place in its bin is a guess; 200,000 of them average out.
    assert found == pytest.approx(exact, rel=0.02)


def test_zeros_cost_nothing() -> None:
    (found,) = mean_squared_errors(Summary.of(np.zeros(9, np.float32)), np.array([0.0]), np.array([0.0]), SCHEMES[0])
    assert found == 0.0
