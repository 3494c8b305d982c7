"""`certified_affine`: a change of parameters that is proved over all codes."""

from __future__ import annotations

from qconv.quant.certify import Certificate, certify_table
from qconv.quant.fixedpoint import round_shift_half_up
from qconv.quant.grids import Grid
from qconv.quant.tables import affine_table, ort_affine_table
from qconv.quant.types import FloatArray, QuantParams


def certified_affine(x: QuantParams, y: QuantParams, grid: Grid = Grid.FREE) -> tuple[FloatArray, Certificate]:
    """The scale of x, nudged until the change of parameters x -> y is proved over all codes."""
    if x.scale == y.scale and x.zero_point == y.zero_point:
        return x.scale, Certificate.of_equal_codes(x.int_type.qmin, x.int_type.qmax)
    scale, certificate = certify_table(
        x,
        lambda x: affine_table(x, y),
        lambda x: ort_affine_table(x, y),
        half_up=lambda x: affine_table(x, y, round_shift_half_up),
        grid=grid,
        scale_of=lambda scale: scale / y.scale,
    )
    return (scale, certificate) if grid.free or certificate.proved else certified_affine(x, y)
