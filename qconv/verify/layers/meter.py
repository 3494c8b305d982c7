"""What is measured of one layer: its error, its own error, and which codes it uses; tensors are read in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qconv.quant.types import IntArray
from qconv.verify.measure.code_use import CodeMeter, CodeUse
from qconv.verify.measure.codes import Codes
from qconv.verify.measure.endings import Extremes, used
from qconv.verify.measure.metrics import Array, Blocks, Similarity, SimilarityMeter, add_blocks


@dataclass(frozen=True)
class FloatTensor:
    """A float tensor of one sample, its extremes, those of its endings, and what its readers tell apart (endings.py).

    `floor` has for each element the real below which nothing counts (ops/floors.py).
    """

    array: Array
    extremes: Extremes | None
    ends: Sequence[Extremes] = ()
    apart: Extremes | None = None
    floor: Array | None = None

    def blocks(self, span: Extremes) -> Blocks:
        """Its values in blocks, less what codes of this span cannot hold and nobody uses."""
        flat = np.ravel(self.array)
        as_it_is = not self.ends and self.extremes is not None and self.extremes[0] > -math.inf
        return (lambda block: flat[block]) if as_it_is else (lambda block: used(flat[block], span, self.ends))

    def counted(self, reals: Blocks) -> Blocks:
        """What counts of reals that stand for its own, block by block."""
        if self.apart is None and self.floor is None:
            return reals
        low, high = self.apart or (-math.inf, math.inf)
        floor = None if self.floor is None else np.maximum(np.ravel(self.floor), np.float32(low))
        return lambda block: np.clip(reals(block), low if floor is None else floor[block], high)


class LayerMeter:
    """Adds up samples of one layer; `alone` says that it can be run alone."""

    def __init__(self, codes: Codes, *, alone: bool) -> None:
        self._codes = codes
        self._error, self._own = SimilarityMeter(), SimilarityMeter() if alone else None
        self._used = CodeMeter(codes.lowest, codes.highest)

    def add(self, real: FloatTensor, found: IntArray, own: IntArray | None) -> None:
        """One more sample: the float tensor, the integer model's codes, and those of the layer alone."""
        self._used.add(found)
        pairs = [(meter, real.counted(reals)) for meter, reals in self._pairs(real.array, found, own)]
        add_blocks(real.counted(real.blocks(self._codes.span)), real.array.size, pairs)

    def _pairs(self, real: Array, found: IntArray, own: IntArray | None) -> Iterator[tuple[SimilarityMeter, Blocks]]:
        """What is compared, without the channels that lowering added behind those of the float tensor for the sake of speed."""
        for meter, codes in ((self._error, found), (self._own, own)):
            same = codes if codes is None or real.ndim < 2 or codes.ndim < 2 else codes[:, : real.shape[1]]
            if meter is not None and same is not None and same.shape == real.shape:  # or its size follows from its values
                yield meter, self._reals(same)

    def _reals(self, codes: IntArray) -> Blocks:
        params, flat = self._codes.params, np.ravel(codes)
        if params.axis is None:
            return lambda block: params.dequantize(flat[block])
        inner, channels = math.prod(codes.shape[params.axis + 1 :]), codes.shape[params.axis]
        zero_points = params.zero_point.astype(np.int32)

        def reals(block: slice) -> Array:
            start, stop, _ = block.indices(flat.size)
            runs = np.arange(start // inner, (stop - 1) // inner + 1)  # each of one channel
            lengths = np.minimum((runs + 1) * inner, stop) - np.maximum(runs * inner, start)
            centered = flat[block].astype(np.int32)  # as QuantParams.dequantize has it
            centered -= np.repeat(zero_points[runs % channels], lengths)
            found: Array = centered.astype(np.float32)
            found *= np.repeat(params.scale[runs % channels], lengths)
            return found

        return reals

    def results(self) -> tuple[Similarity, Similarity | None, CodeUse]:
        """The error, the own error where it is known, and the use of codes."""
        return self._error.result(), None if self._own is None else self._own.result(), self._used.result()
