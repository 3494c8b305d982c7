"""The proof is held against brute force: every accumulator of an interval, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qconv.model.evaluate import run_node
from qconv.quant.certify import (
    Certificate,
    certify_table,
    certify_weight_scale,
    combine,
    effective_scale,
    nudge,
    ort_rescale,
    thresholds,
    unproved,
)
from qconv.quant.fixedpoint import Int64Array, Multiplier, rescale
from qconv.quant.tables import add_table, affine_table, mul_table, ort_add_fused, ort_add_plain, ort_affine_table, ort_mul_table
from qconv.quant.types import UINT8, BoolArray, FloatArray, QuantParams

REACH = 200_000
Table = Callable[[QuantParams], Int64Array]


def _disagree(scale: FloatArray, lo: int, hi: int) -> bool:
    acc = np.arange(-REACH, REACH + 1)
    ours = np.clip(rescale(acc, Multiplier.of(scale)), lo, hi)
    return not np.array_equal(ours, np.clip(ort_rescale(acc, scale), lo, hi))


@pytest.mark.parametrize(("lo", "hi"), [(0, 255), (-128, 127), (-255, 0)])
def test_unproved_is_exactly_the_scales_that_disagree_somewhere(lo: int, hi: int) -> None:
    scales = np.exp(np.random.default_rng(0).uniform(np.log(2e-4), np.log(0.3), 60)).astype(np.float32)
    ends = np.full(len(scales), -REACH), np.full(len(scales), REACH)
    wrong = [_disagree(scale, lo, hi) for scale in scales]
    assert unproved(scales, lo, hi, *ends).tolist() == wrong
    assert any(wrong)  # otherwise this test shows nothing
    assert not all(wrong)


def test_the_ends_of_an_interval_belong_to_it() -> None:
    """An interval that begins or ends at a single accumulator where the two maps part is not proved; one shorter by it is."""
    scales = np.exp(np.random.default_rng(2).uniform(np.log(5e-5), np.log(2e-3), 400)).astype(np.float32)
    codes = np.arange(-127, 128, dtype=np.int64)
    at = thresholds(scales, codes)
    late = ort_rescale(at, scales[:, None]) < codes
    early = ort_rescale(at - 1, scales[:, None]) >= codes
    assert late.any() and early.any()  # otherwise this test shows nothing

    def fails(where: BoolArray, first: int, last: int) -> list[bool]:
        """For the first such threshold t of each scale: whether [t + first, t + last] is unproved."""
        rows = np.flatnonzero(where.any(axis=1))
        t = at[rows, where[rows].argmax(axis=1)]
        return sorted(set(unproved(scales[rows], -128, 127, t + first, t + last).tolist()))

    assert fails(late, 0, 10) == fails(late, 0, 0) == fails(late, -10, 0) == [True]
    assert fails(late, 1, 10) == fails(late, -10, -1) == [False]
    assert fails(early, -10, -1) == fails(early, -1, -1) == fails(early, -1, 10) == fails(early, -10, 0) == [True]
    assert fails(early, -10, -2) == fails(early, 0, 10) == [False]


def test_nudged_weight_scales_agree_on_every_accumulator() -> None:
    rng = np.random.default_rng(1)
    weight_scales = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), 30)).astype(np.float32)
    ends = np.full(30, -REACH), np.full(30, REACH)
    x, y = np.float32(0.0173), np.float32(0.0419)
    nudged, certificate = certify_weight_scale(
        x, weight_scales, y, 0, 255, lambda values, which: (ends[0][which], ends[1][which])
    )
    assert certificate.proved == certificate.scales == 30
    assert (certificate.low, certificate.high, certificate.why) == (-REACH, REACH, "")
    assert certificate.nudged > 0
    assert (nudged >= weight_scales).all()
    assert not any(_disagree(scale, 0, 255) for scale in effective_scale(x, nudged, y))


@given(st.floats(2.0**-20, 8.0, width=32), st.integers(-255, 255))
@settings(max_examples=200, deadline=None)
def test_a_threshold_is_where_fixed_point_reaches_its_code(scale: float, code: int) -> None:
    scales = np.asarray([scale], np.float32)
    at = thresholds(scales, np.asarray([code], np.int64))[0, 0]
    if abs(at) < 1 << 31:
        multiplier = Multiplier.of(scales)
        assert rescale(np.asarray([at]), multiplier)[0] >= code > rescale(np.asarray([at - 1]), multiplier)[0]


def test_a_scale_that_never_passes_goes_back_to_where_it_began() -> None:
    start = np.asarray([1.0, 2.0], np.float32)
    found = nudge(start, lambda v, which: np.asarray(which) == 1)
    assert found.values.tolist() == [1.0, 2.0]
    assert found.proved.tolist() == [True, False]
    assert found.certificate(-5, 7, "a reason", 2) == Certificate(
        scales=2, proved=1, nudged=0, max_ulps=0, low=-5, high=7, why="a reason", tie_free=2
    )


def test_certificates_of_one_node_are_combined() -> None:
    parts = [
        Certificate(2, 1, 1, 3, -5, 7, "a reason"),
        Certificate(1, 1, 1, 9, -8, 2),
        Certificate(1, 0, 0, 0, 0, 1, "a reason"),
    ]
    assert combine(parts) == Certificate(4, 2, 2, 9, -8, 7, "a reason")
    with pytest.raises(ValueError, match="no certificate"):
        combine([])


def _params(rng: np.random.Generator) -> QuantParams:
    return QuantParams(np.asarray(np.exp(rng.normal(-3, 1)), np.float32), np.asarray(rng.integers(0, 256)), UINT8)


@pytest.mark.parametrize("seed", range(8))
def test_tables_of_two_codes_agree_after_nudging(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, y = (_params(rng) for _ in range(3))
    pairs: list[tuple[Table, Table]] = [
        (lambda x: add_table(x, b, y), lambda x: ort_add_fused(x, b, y)),
        (lambda x: add_table(x, b, y), lambda x: ort_add_plain(x, b, y)),
        (lambda x: mul_table(x, b, y), lambda x: ort_mul_table(x, b, y)),
        (lambda x: affine_table(x, y), lambda x: ort_affine_table(x, y)),
    ]
    for ours, theirs in pairs:
        scale, certificate = certify_table(a, ours, theirs)
        assert certificate.proved == certificate.scales == 1
        assert (certificate.low, certificate.high) == (0, 255)
        nudged = replace(a, scale=scale)
        assert np.array_equal(ours(nudged), theirs(nudged))


def test_a_product_or_a_sum_beyond_int32_is_not_called_proved() -> None:
    """On x86 the rounded float becomes int32 before it is clamped; 2^31 and more becomes the lowest code."""
    one, y = QuantParams(np.asarray(1.0, np.float32), np.asarray(0), UINT8), np.asarray(0)
    fine, narrow = (QuantParams(np.asarray(s, np.float32), y, UINT8) for s in (1 / 33_000, 1 / 33_100))
    assert ort_mul_table(one, one, fine)[255, 255] == 255
    assert ort_mul_table(one, one, narrow)[255, 255] == 0
    tiny = QuantParams(np.asarray(2.0**-23, np.float32), y, UINT8)
    assert ort_add_plain(one, one, tiny)[255, 255] == ort_add_fused(one, one, tiny)[255, 255] == 0
    tables: list[tuple[Table, Table]] = [
        (lambda x: mul_table(x, one, narrow), lambda x: ort_mul_table(x, one, narrow)),
        (lambda x: add_table(x, one, tiny), lambda x: ort_add_plain(x, one, tiny)),
    ]
    for ours, theirs in tables:
        scale, certificate = certify_table(one, ours, theirs)
        assert (scale, certificate.proved, certificate.scales) == (one.scale, 0, 1)
        assert "int32" in certificate.why


@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
def test_the_tables_of_onnxruntime_are_those_of_its_kernel_beyond_int32(op_type: str) -> None:
    a, y = QuantParams(np.asarray(1.0, np.float32), np.asarray(0), UINT8), np.asarray(2.0**-23, np.float32)
    c = QuantParams(y, np.asarray(3), UINT8)
    left, right = (np.ascontiguousarray(m, np.uint8) for m in np.meshgrid(np.arange(256), np.arange(256), indexing="ij"))
    arrays = [left, a.scale, np.uint8(0), right, a.scale, np.uint8(0), c.scale, np.uint8(3)]
    kernel = run_node(op_type, [np.asarray(array) for array in arrays], domain="com.microsoft")[0]
    table = ort_add_fused(a, a, c) if op_type == "QLinearAdd" else ort_mul_table(a, a, c)
    assert np.array_equal(kernel, table)
