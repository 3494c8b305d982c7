"""Finds the tensor that is not finite: runs one suspected sample again with every tensor in the open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from qconv.data.source import Sample
from qconv.errors import DataError
from qconv.model.graph import const_array, is_float
from qconv.model.session import open_session, reason
from qconv.ops.floors import Floors
from qconv.quant.types import FloatArray
from qconv.statistics.reductions import values_by_name


class Culprit:
    """Judges samples whose reductions are suspect. The session for that is opened at the first one, and kept."""

    def __init__(self, model: ir.Model, tensors: Sequence[str], threads: int, floors: Floors = Floors()) -> None:
        self._values = {n: v for n, v in values_by_name(model.graph).items() if is_float(v) and const_array(v) is None}
        self._model, self._tensors, self._threads, self._floors = model, tuple(tensors), threads, floors
        self._session: ort.InferenceSession | None = None

    def tensors(self, sample: Sample, index: int) -> list[FloatArray]:
        """The observed tensors, for a sample that is innocent: its values are large, or a tensor is empty.

        Raises DataError that names the first tensor in graph order which is NaN or infinite, and the sample.
        """
        arrays = {name: self._floors.raised_array(name, array) for name, array in self._arrays(sample).items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise DataError(self._sentence(name, array, sample, index))
        return [arrays[name] for name in self._tensors]

    def _arrays(self, sample: Sample) -> dict[str, NDArray[Any]]:
        """Every float tensor of the main graph, in graph order."""
        inner = [name for name, value in self._values.items() if not value.is_graph_input()]
        if self._session is None:
            self._session = open_session(self._model, outputs=inner, threads=self._threads)
        results = dict(zip(inner, run(self._session, sample), strict=True))
        return {name: results[name] if name in results else sample.feeds[name] for name in self._values}

    def _sentence(self, name: str, array: NDArray[Any], sample: Sample, index: int) -> str:
        what = "NaN" if np.isnan(array).any() else "Inf"
        node = self._values[name].producer()
        place = f" (output of {node.op_type} {node.name})" if node is not None else ""
        return f"tensor {name}{place} holds {what} for sample {index}, {sample.name}; remove that sample, or mend the model there"


def run(session: ort.InferenceSession, sample: Sample) -> list[NDArray[Any]]:
    """All outputs for one sample. Raises DataError with onnxruntime's reason when the model cannot take it."""
    try:
        results: list[NDArray[Any]] = session.run(None, dict(sample.feeds))
    except Exception as error:  # noqa: BLE001 - onnxruntime's classes have no other base
        raise DataError(
            f"the model cannot run on sample {sample.name} ({reason(error)}); check the sizes of its arrays"
        ) from None
    return results
