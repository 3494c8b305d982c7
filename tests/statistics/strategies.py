"""Tensors that hypothesis tries on summaries and methods."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from qconv.statistics.histogram import bin_of, edge_of
from qconv.statistics.summary import Summary

Elements = NDArray[np.float32]

FLOATS = st.one_of(
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.floats(-8, 8, width=32),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 6.0, 1e-45, -1e-45, 1e-38]),
)


@st.composite
def spread(draw: st.DrawFn) -> Elements:
    """Many elements of one distribution: two-sided, rectified, clamped, with an outlier, constant, or zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    size = draw(st.integers(1, 3000))
    values = rng.laplace(draw(st.floats(-2, 2)), draw(st.floats(0.01, 3)), size)
    match draw(st.sampled_from(["plain", "rectified", "negative", "clamped", "outlier", "constant", "zeros"])):
        case "rectified":
            values = np.maximum(values, 0)
        case "negative":
            values = np.minimum(values, 0)
        case "clamped":
            values = np.clip(values, 0, 1)
        case "outlier":
            values[0] = 1e6 * draw(st.sampled_from([1, -1]))
        case "constant":
            values[:] = values[0]
        case "zeros":
            values[:] = 0
    return (values * 2.0 ** draw(st.integers(-20, 20))).astype(np.float32)


ELEMENTS = st.one_of(
    st.lists(FLOATS, max_size=30).map(lambda values: np.array(values, np.float32)),
    spread(),
)


def bin_width(found: Summary, value: float) -> float:
    """Of the bin with a value, or the one outside of it where the value is an edge."""
    exponent = found.histogram.exponent
    number = int(bin_of(value, exponent))
    return float(np.diff(edge_of([number, number + 1], exponent))[0])


def summary(*samples: Elements) -> Summary:
    """Of samples, each with all of its elements."""
    total = Summary.of(np.zeros(0, np.float32))
    for elements in samples:
        total = total.merge(Summary.of(elements))
    return total
