"""Whether rounding halves up gives the same codes as rounding them to even, for every accumulator of an interval.

With M = m0 2^-(31 + n), m0 = o 2^t and o odd, a product acc M ends in one half exactly if acc = j 2^e with j odd and
e = 30 + n - t >= 0. It is k + 1/2 then, with 2k + 1 = j o. For an even k, rounding to even gives k and half up gives k + 1; for
an odd k both give k + 1.

    They differ on [low, high], clamped to [lo, hi], exactly if some j has
        j o = 1 (mod 4),    low <= j 2^e <= high,    2 lo + 1 <= j o <= 2 hi - 1           (docs/arithmetic.md, 16)

A multiplier with a mantissa of full length has t = 7 and needs accumulators of 2^(23 + n), which saturate.
"""

from __future__ import annotations

import numpy as np

from qconv.quant.fixedpoint import Int64Array, Multiplier
from qconv.quant.types import BoolArray, FloatArray

_BEYOND = 40  # 2^40 is beyond every accumulator


def tie_free(scale: FloatArray, lo: int, hi: int, acc_lo: Int64Array, acc_hi: Int64Array) -> BoolArray:
    """For which scales no accumulator in [acc_lo, acc_hi] meets a tie that half up rounds otherwise; all of shape (channels,).

    `lo` and `hi` are the codes that the result is clamped to, less the zero point.
    """
    multiplier = Multiplier.of(scale)
    lowest_bit = multiplier.m0 & -multiplier.m0
    odd = multiplier.m0 // lowest_bit
    exponent = 30 + multiplier.n - np.log2(lowest_bit).astype(np.int64)
    step = np.int64(1) << np.clip(exponent, 0, _BEYOND)
    first = np.maximum(-(-acc_lo // step), -(-(2 * lo + 1) // odd))
    last = np.minimum(acc_hi // step, (2 * hi - 1) // odd)
    # The inverse of o modulo 4 is o itself.
    j = first + (odd - first) % 4
    return np.asarray((exponent < 0) | (j > last))
