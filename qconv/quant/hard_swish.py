"""HardSwish without codes of its own for the gate: those of x, cut off, are the gate under other parameters.

    x clip(x / 6 + 1/2, 0, 1)  ~  x (clip(q, a, b) - a) / (b - a)        a = round(Z - 3 / S),  b = round(Z + 3 / S)

The ends of the gate are exact. Between them it is off by 1 / 2(b - a), where |x| is below 3: by a fourth of a step of x in the
product.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qconv.quant.operand_pairs import certified_product
from qconv.quant.tables import codes_of, mul_table
from qconv.quant.types import QuantParams

_KNEE = 3.0
_MOST_CODES = 1  # that a product may be off, as with a gate of codes of its own


def cut_gate(x: QuantParams, y: QuantParams) -> tuple[QuantParams, int] | None:
    """The parameters of a gate of cut codes of x, and its highest code; None where a product would be off by more than a code."""
    steps, zero_point, limits = _KNEE / float(x.scale), int(x.zero_point), np.iinfo(x.int_type.dtype)
    low, high = round(zero_point - steps), round(zero_point + steps)
    if low < limits.min or high == low:
        return None
    scale = np.asarray(1.0 / (high - low), np.float32)
    gate = QuantParams(scale, np.asarray(low), replace(x.int_type, bits=8, narrow=False))
    codes = codes_of(x.int_type)
    found = certified_product(x, gate, y)
    rows = codes - codes[0]
    products = mul_table(found.a, found.b, y)[rows, np.clip(codes, low, high) - codes[0]]
    reals = x.dequantize(codes.astype(x.int_type.dtype)).astype(np.float64)
    exact = y.quantize(np.asarray(reals * np.clip(reals / 6.0 + 0.5, 0.0, 1.0), np.float32)).astype(np.int64)
    used = (codes >= x.int_type.qmin) & (codes <= x.int_type.qmax)
    return (gate, high) if np.abs(products - exact)[used].max() <= _MOST_CODES else None
