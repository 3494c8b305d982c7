"""What is measured of one layer: its error, its own error, and which codes it uses; tensors are read in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from qconv.quant.types import IntArray
from qconv.verify.measure.code_use import CodeMeter, CodeUse
from qconv.verify.measure.codes import Codes
from qconv.verify.measure.endings import Extremes, used
from qconv.verify.measure.metrics import Array, Blocks, Similarity, SimilarityMeter, add_blocks


class LayerMeter:
    """Adds up samples of one layer; `alone` says that it can be run alone."""

    def __init__(self, codes: Codes, *, alone: bool) -> None:
        self._codes = codes
        self._error, self._own = SimilarityMeter(), SimilarityMeter() if alone else None
        self._used = CodeMeter(codes.lowest, codes.highest)

    def add(
        self, real: Array, ends: Sequence[Extremes], found: IntArray, own: IntArray | None, apart: Extremes | None = None
    ) -> None:
        """One more sample: the float tensor and its endings, the integer model's codes, and those of the layer alone.

        `apart` is what the readers of the tensor tell apart; what lies beyond is compared as its ends.
        """
        self._used.add(found)
        pairs = [(meter, _within(reals, apart)) for meter, reals in self._pairs(real, found, own)]
        flat, span = np.ravel(real), self._codes.span
        reference = _within(lambda block: used(flat[block], span, ends).astype(np.float64), apart)
        add_blocks(reference, flat.size, pairs)

    def _pairs(self, real: Array, found: IntArray, own: IntArray | None) -> Iterator[tuple[SimilarityMeter, Blocks]]:
        """What is compared, without the channels that lowering added behind those of the float tensor for the sake of speed."""
        for meter, codes in ((self._error, found), (self._own, own)):
            same = codes if codes is None or real.ndim < 2 or codes.ndim < 2 else codes[:, : real.shape[1]]
            if meter is not None and same is not None and same.shape == real.shape:  # or its size follows from its values
                yield meter, self._reals(same)

    def _reals(self, codes: IntArray) -> Blocks:
        params, flat = self._codes.params, np.ravel(codes)
        if params.axis is None:
            return lambda block: params.dequantize(flat[block]).astype(np.float64)
        inner, channels = math.prod(codes.shape[params.axis + 1 :]), codes.shape[params.axis]
        zero_points = params.zero_point.astype(np.int32)

        def reals(block: slice) -> Array:
            of_channel = np.arange(*block.indices(flat.size)) // inner % channels
            centered = flat[block].astype(np.int32) - zero_points[of_channel]  # as QuantParams.dequantize has it
            found: Array = (centered.astype(np.float32) * params.scale[of_channel]).astype(np.float64)
            return found

        return reals

    def results(self) -> tuple[Similarity, Similarity | None, CodeUse]:
        """The error, the own error where it is known, and the use of codes."""
        return self._error.result(), None if self._own is None else self._own.result(), self._used.result()


def _within(reals: Blocks, limits: Extremes | None) -> Blocks:
    return reals if limits is None else lambda block: np.clip(reals(block), *limits)
