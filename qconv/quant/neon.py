"""QLinearAdd as onnxruntime computes it on 64-bit ARM: in integers, with multipliers of 22 bits.

    r_a = float32(S_a / S_c), r_b = float32(S_b / S_c)
    n   = 21 - floor(log2(max(r_a, r_b)))                so that the greater multiplier lies in [2^21, 2^22)
    m_a = rint(r_a 2^n),  m_b = rint(r_b 2^n)
    c   = Z_c + round(((a - Z_a) m_a + (b - Z_b) m_b) 2^-n), halves away from zero, clamped

Where a ratio lies outside [2^-14, 2^8) it computes (S_a (a - Z_a) + S_b (b - Z_b)) / S_c in float32. An emulated Neoverse N1 gave
these sums for all pairs of codes of 60 additions, signed and unsigned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qconv.quant.fixedpoint import Int64Array
from qconv.quant.tables import codes_of
from qconv.quant.types import QuantParams

_BITS = 21
_LEAST, _BEYOND = np.float32(2.0**-14), np.float32(2.0**8)


def neon_add_table(a: QuantParams, b: QuantParams, y: QuantParams) -> Int64Array:
    """The sums over all pairs of codes, shape (256, 256)."""
    left = (codes_of(a.int_type) - int(a.zero_point))[:, None]
    right = (codes_of(b.int_type) - int(b.zero_point))[None, :]
    ratios = [np.float32(part.scale / y.scale) for part in (a, b)]
    limits = np.iinfo(y.int_type.dtype)
    if min(ratios) < _LEAST or max(ratios) >= _BEYOND:
        rounded = _in_float(left, a, right, b, y)
    else:
        shift = _BITS - (int(np.frexp(max(ratios))[1]) - 1)
        m_a, m_b = (int(np.rint(np.ldexp(float(ratio), shift))) for ratio in ratios)
        total = left * m_a + right * m_b
        rounded = np.sign(total) * ((np.abs(total) + (1 << (shift - 1))) >> shift) + int(y.zero_point)
    return np.asarray(np.clip(rounded, limits.min, limits.max), np.int64)


def _in_float(left: Int64Array, a: QuantParams, right: Int64Array, b: QuantParams, y: QuantParams) -> NDArray[np.float32]:
    total = left.astype(np.float32) * a.scale + right.astype(np.float32) * b.scale
    return np.asarray(np.rint(total / y.scale + y.zero_point.astype(np.float32)))
