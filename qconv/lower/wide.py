"""Wide integers: int32 tensors between 8-bit ones, for sums and norms that 8 bits would ruin.

    real = scale (v - zero)          low <= v <= high, whatever the input of the network

The limits are proved step by step from those of the codes, so that no sum or product leaves int32. Divisions are by powers of
two and truncate toward zero, as the integer Div of the standard does: what they cut off is far below a step of 8 bits. The nodes
themselves are those of int32_nodes.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.lower.int32_nodes import INT32, Int32Nodes
from qconv.lower.splits import farthest, split_of
from qconv.lower.values import Codes, Wide
from qconv.model.graph import const_array
from qconv.quant.certify import Certificate
from qconv.quant.types import QuantParams

SUM_BITS = 20  # of the entries of a sum, which leaves its factors 10 bits
_FINER_BITS = 9  # of such a sum, before it is shifted
_EXACT_BITS = 11  # of a sum that its factors leave right
_FACTOR_BITS = 10  # that such a factor has
_FLOAT_BITS = 24  # of the mantissa of a float32
_LONGEST_SHIFT = 30  # bits, of which nothing of a sum's entry is left
_MOST_BITS_TO_CUT = 16  # of an operand, for the steps of the other
_FEW = 1 << 16  # steps of a wide integer, for whose factors 15 bits are left
_STEEPEST = 1024.0  # codes for a step of a wide integer: all of them, and more


class WideBuilder(Int32Nodes):
    """Emits what computes with wide integers for one float node of the graph."""

    def of_codes(self, codes: Codes, step: str) -> Wide:
        """Codes as they are, held in int32."""
        limits = np.iinfo(codes.params.int_type.dtype)
        value = self.emit("Cast", [codes.value], codes.value, step, to=int(ir.DataType.INT32))
        return Wide(value, float(codes.params.scale), float(codes.params.zero_point), int(limits.min), int(limits.max))

    def operand(self, value: ir.Value, step: str) -> Wide:
        """A float tensor: its wide integers where it has some, a constant in 20 bits, or its codes."""
        array, wide = const_array(value), self.ctx.wide(value)
        if wide is not None:
            return wide
        if array is None:
            return self.of_codes(self.ctx.codes(value), step)
        params = self.ctx.plan.tensors.get(str(value.name))
        array = array if params is None else array.clip(*params.ends)  # such as the infinity of a mask
        scale = max(float(np.abs(array).max(initial=0.0)), 1e-30) / (1 << SUM_BITS)
        codes = np.rint(array.astype(np.float64) / scale).astype(np.int64)
        return Wide(self.constant(codes, step), scale, 0.0, int(codes.min(initial=0)), int(codes.max(initial=0)))

    def centered(self, x: Wide, step: str) -> Wide:
        """The same reals as integers around zero; a zero between two integers goes to the nearer one."""
        zero = round(x.zero)
        if not zero:
            return replace(x, zero=0.0)
        value = self.emit("Sub", [x.value, self.constant(zero, step)], x.value, step)
        return Wide(value, x.scale, 0.0, x.low - zero, x.high - zero)

    def times(self, x: Wide, factor: int, step: str) -> Wide:
        """The same reals in steps `factor` times as small."""
        if factor == 1:
            return x
        value = self.emit("Mul", [x.value, self.constant(factor, step)], x.value, step)
        return Wide(value, x.scale / factor, x.zero * factor, x.low * factor, x.high * factor)

    def shifted(self, x: Wide, bits: int, step: str) -> Wide:
        """The same reals in steps 2^bits times as large."""
        if bits <= 0:
            return x
        value = self.over(x.value, 1 << bits, x.value, step)
        floors = self.ctx.target.arithmetic.divides_in_float
        low, high = (end >> bits if floors else int(end / (1 << bits)) for end in (x.low, x.high))
        return Wide(value, x.scale * (1 << bits), x.zero / (1 << bits), low, high)

    def within(self, x: Wide, largest: int, step: str) -> Wide:
        """The same reals, shifted until no magnitude passes `largest`."""
        bits = 0
        while int(x.largest / (1 << bits)) > largest:
            bits += 1
        return self.shifted(x, bits, step)

    def clipped(self, x: Wide, largest: int, step: str) -> Wide:
        """The integers, saturated at +-largest."""
        if x.largest <= largest:
            return x
        bounds = [self.constant(-largest, f"{step}_low"), self.constant(largest, f"{step}_high")]
        value = self.emit("Clip", [x.value, *bounds], x.value, step)
        return replace(x, value=value, low=max(x.low, -largest), high=min(x.high, largest))

    def sum(self, a: Wide, b: Wide, like: ir.Value, sign: int = 1) -> Wide:
        """a + b, or a - b by a `sign` of -1: in the steps that both have, or in steps of 2^-20 of what the sum can reach.

        The factor of the smaller operand is off by half a step, times as many as it has. Where they are so many that the sum
        is off by more than 2^-12 of its range, its steps are finer first, and shifted behind it.
        """
        a, b = self._in_coarser(a, b, "a_in_steps"), self._in_coarser(b, a, "b_in_steps")
        if a.scale == b.scale and a.largest + b.largest < INT32:
            return self._plain_sum(a, b, like, sign)
        a, b = (self.within(x, 1 << SUM_BITS, f"{step}_shift") for x, step in ((a, "a"), (b, "b")))
        smaller, larger = sorted((a, b), key=lambda x: x.scale * x.largest)
        finer = min(_FINER_BITS, max(0, (smaller.largest << _EXACT_BITS >> SUM_BITS).bit_length()))
        unit = (a.scale * a.largest + b.scale * b.largest) / (1 << (SUM_BITS + finer))
        unit = larger.scale / max(1, round(larger.scale / unit))  # which has no error of its factor then
        left, right = (self._in_units(x, unit, step) for x, step in ((a, "a"), (b, "b")))
        total = self._plain_sum(replace(left, scale=unit), right, like, sign)
        return self.within(total, 1 << SUM_BITS, "sum_shift")

    def _in_coarser(self, x: Wide, other: Wide, step: str) -> Wide:
        """x in the steps of the other, where they are larger by a power of two and the other has many."""
        mantissa, bits = math.frexp(other.scale / x.scale)
        fits = mantissa == 0.5 and 1 < bits <= _MOST_BITS_TO_CUT + 1 and other.largest >= _FEW
        return self.shifted(x, bits - 1, step) if fits else x

    def _plain_sum(self, a: Wide, b: Wide, like: ir.Value, sign: int) -> Wide:
        """a + b or a - b of one scale, which is that of a."""
        assert a.largest + b.largest < INT32
        ends = sorted((sign * b.low, sign * b.high))
        value = self.emit("Add" if sign > 0 else "Sub", [a.value, b.value], like, "sum")
        return Wide(value, a.scale, a.zero + sign * b.zero, a.low + ends[0], a.high + ends[1])

    def _in_units(self, x: Wide, unit: float, step: str) -> Wide:
        """The same reals in steps of about `unit`, by a whole factor; what is far finer is shifted first."""
        finer = math.floor(math.log2(unit / x.scale)) if x.scale < unit else 0
        x = self.shifted(x, min(finer, _LONGEST_SHIFT), f"{step}_cut_to_unit")
        return self.times(x, max(1, round(x.scale / unit)), f"{step}_rescale")

    def in_same_steps(self, parts: Sequence[Wide]) -> list[Wide]:
        """The same reals as integers around zero in steps of 2^-20 of the largest of all.

        Each real is off by at most 2^-10 of itself and a step.
        """
        fine = [self.within(self.centered(x, f"{i}_centered"), 1 << SUM_BITS, f"{i}_shift") for i, x in enumerate(parts)]
        unit = max(x.scale * x.largest for x in fine) / (1 << SUM_BITS)
        return [self._in_steps(x, unit, str(i)) for i, x in enumerate(fine)]

    def _in_steps(self, x: Wide, unit: float, step: str) -> Wide:
        """x / unit, by a factor of 10 bits over a power of two."""
        bits = max(0, _FACTOR_BITS - math.frexp(x.scale / unit)[1])
        finer = self.times(x, max(1, round(x.scale / unit * 2.0**bits)), f"{step}_factor")
        return replace(self.shifted(finer, min(bits, _LONGEST_SHIFT), f"{step}_over"), scale=unit)

    def affine(
        self, x: Wide, factor: NDArray[np.floating], shift: NDArray[np.floating], y: QuantParams, like: ir.Value,
        reach: float | None = None, usual: int | None = None,
    ) -> Wide:  # fmt: skip
        """factor x + shift by channel of the last axis, in steps of S_y / 2^b; its zero is where code Z - 1/2 of y begins.

        Magnitudes beyond `reach`, which is given for an x without zero point, may come out as any others beyond it: where int32
        has no room for all, the channels of x are cut off there, each in its own steps. An x beyond `usual` is rare, and may be
        off by more than others.
        """
        factor, shift = np.asarray(factor, np.float64), np.asarray(shift, np.float64)
        per_step = factor * x.scale / float(y.scale)
        offset = shift / float(y.scale) + int(y.zero_point) - y.int_type.qmin + 0.5
        most: int | NDArray[np.int64] = x.largest
        split = split_of(most, x.zero, float(np.abs(per_step).max()), float(np.abs(offset).max()), usual)
        if split is None and reach is not None:
            most = farthest(factor * x.scale, shift, reach, x.largest)
            x, split = (
                self.within_channels(x, most),
                split_of(most, x.zero, np.abs(per_step), float(np.abs(offset).max()), usual),
            )
        if split is None:
            raise self._beyond_int32()
        cut, bits = split
        v = self.shifted(x, cut, "cut")
        unit = float(1 << bits)
        gain = np.rint(per_step * 2.0**cut * unit).astype(np.int64)
        base = np.rint(offset * unit - gain * v.zero).astype(np.int64)
        if like.shape is not None and not len(like.shape):
            gain, base = gain.reshape(()), base.reshape(())  # a vector of one would make a vector of it
        low, high = (np.clip(end, -(most >> cut) - 1, (most >> cut) + 1) for end in (v.low, v.high))
        ends = np.stack([gain * low + base, gain * high + base])
        if ends.min() < -INT32 or ends.max() >= INT32:
            raise self._beyond_int32()
        scaled = self.emit("Mul", [v.value, self.constant(gain, "factor")], like, "scaled")
        value = self.emit("Add", [scaled, self.constant(base, "shift")], like, "moved")
        zero = (int(y.zero_point) - y.int_type.qmin + 0.5) * unit
        return Wide(value, float(y.scale) / unit, zero, int(ends.min()), int(ends.max()))

    def rescaled(self, x: Wide, y: QuantParams, tensor: ir.Value, name: str | None = None) -> Codes:
        """The codes of y of any wide tensor, cut off where the codes end anyway, so that more bits are left behind the point.

        `name` is that of the last node, by default that of the float node.
        """
        largest = math.ceil((max(map(abs, y.ends)) + float(y.scale)) / x.scale + abs(x.zero))
        factor = min(1.0, _STEEPEST * float(y.scale) / x.scale)
        if largest * 2 < x.largest and x.largest > _FEW:
            x = self.clipped(x, largest, "saturate")
        return self.codes(self.affine(x, np.full(1, factor), np.zeros(1), y, tensor), y, tensor, name)

    def codes(self, x: Wide, y: QuantParams, tensor: ir.Value, name: str | None = None) -> Codes:
        """The codes of y of what `affine` made: its integers over 2^b, rounded down.

        The highest one is a number of float32, in which some runtimes cut integers off: a greater one would begin another code.
        """
        levels, bits = y.int_type.qmax - y.int_type.qmin, round(np.log2(float(y.scale) / x.scale))
        end = (levels + 1) << bits
        highest = end - (1 << max(0, end.bit_length() - _FLOAT_BITS))
        bounds = [self.constant(0, "lowest"), self.constant(highest, "highest")]
        value = self.emit("Clip", [x.value, *bounds], tensor, "clip")
        return self.as_codes(self.over(value, 1 << bits, tensor, "steps"), y, tensor, name)

    def as_codes(self, value: ir.Value, y: QuantParams, tensor: ir.Value, name: str | None = None) -> Codes:
        """The codes of y, counted from the lowest."""
        if y.int_type.qmin:
            value = self.emit("Add", [value, self.constant(y.int_type.qmin, "qmin")], tensor, "signed")
        dtype = ir.DataType.from_numpy(y.int_type.dtype)
        return self.ctx.emit_codes(
            "Cast", [value], tensor, y, name=name, attributes={"to": int(dtype)}, clamp=False,
            certificate=Certificate.of_equal_codes(y.int_type.qmin, y.int_type.qmax),
        )  # fmt: skip

    def within_channels(self, x: Wide, most: NDArray[np.int64]) -> Wide:
        """The integers, saturated at +-most by channel of the last axis."""
        low = self.emit("Max", [x.value, self.constant(-most, "farthest_low")], x.value, "above")
        value = self.emit("Min", [low, self.constant(most, "farthest")], x.value, "below")
        return replace(x, value=value, low=max(x.low, -int(most.max())), high=min(x.high, int(most.max())))

    def _beyond_int32(self) -> ArtifactError:
        return ArtifactError(f"node {self.place} leaves int32 under this plan; let the plan leave it in float (float_nodes)")
