"""A float and an integer model behind one face: the same samples in, reals out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from qconv.errors import DataError, ModelError
from qconv.integer.program import Program
from qconv.integer.step import Operand
from qconv.model.session import open_session
from qconv.quant.pixels import Pixels
from qconv.verify.measure.codes import Codes, border_codes
from qconv.verify.measure.metrics import Array

_CODES = ("tensor(int8)", "tensor(uint8)")
_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class Side:
    """One model in onnxruntime. Codes at its borders, if it has any, are made from reals and turned back into them."""

    def __init__(self, path: Path, program: Program | None = None, *, threads: int = 0, fixed: Mapping[str, Array] = {}) -> None:
        """`program` is given for an integer model: it has the scales of integer inputs and outputs.

        `fixed` are inputs that samples need not have.
        """
        self._fixed = fixed
        self._pixels = None if program is None else pixels_of(program)
        self._path = path
        self._session = open_session(path, threads=threads)
        self._inputs = {} if program is None else _borders(program.inputs, program)
        self._outputs = {} if program is None else _borders(program.outputs, program)
        initializers = {node.name for node in self._session.get_overridable_initializers()}
        self._wanted = {node.name: node.type for node in self._session.get_inputs() if node.name not in initializers}

    def read_as(self, other: Side) -> None:
        """Reads codes that a quantized model gives at its outputs with the scales that the other side has for them."""
        kinds = {node.name: node.type for node in self._session.get_outputs()}
        self._outputs = {name: codes for name, codes in other._outputs.items() if kinds.get(name) in _CODES} | self._outputs

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in order."""
        return [node.name for node in self._session.get_outputs()]

    @property
    def shapes(self) -> list[list[int | str | None]]:
        """What the outputs declare; a name or None for a size that is left open."""
        return [list(node.shape or ()) for node in self._session.get_outputs()]

    def feeds(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        """What onnxruntime is given for a sample. Raises DataError for an input that the sample lacks."""
        sample = {**sample, **self._fixed}
        missing = [name for name in self._wanted if name not in sample]
        if missing:
            raise DataError(
                f"{self._path} has the input {missing[0]}, and the samples have none of that name; give an array for it"
            )
        return {name: self._feed(name, sample[name]) for name in self._wanted}

    def _feed(self, name: str, array: Array) -> Array:
        codes = self._inputs.get(name)
        if codes is not None and array.dtype.kind == "f":
            return codes.quantize(array if self._pixels is None else self._pixels.of_reals(array))
        wanted: Any = _FLOATS.get(self._wanted[name], array.dtype)
        return np.asarray(array, wanted) if array.dtype.kind == "f" else array

    def run(self, sample: Mapping[str, Array]) -> list[Array]:
        """All outputs as reals. Raises ModelError with onnxruntime's words where a run fails."""
        arrays = run_session(self._session, None, self.feeds(sample), str(self._path))
        return [self._real(name, array) for name, array in zip(self.outputs, arrays, strict=True)]

    def _real(self, name: str, array: Array) -> Array:
        codes = self._outputs.get(name)
        return array if codes is None else codes.dequantize(array)

    def run_raw(self, feeds: dict[str, Array]) -> None:
        """Runs on what `feeds` gave and drops the outputs, for measuring time."""
        self._session.run(None, feeds)


def run_session(session: ort.InferenceSession, outputs: Sequence[str] | None, feeds: dict[str, Array], what: str) -> list[Array]:
    """The outputs of a run; raises ModelError with the first line of what onnxruntime says."""
    try:
        return list(session.run(outputs, feeds))
    except Exception as error:  # noqa: BLE001 - onnxruntime raises many classes without a common base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{what} cannot run on the samples: {reason}") from None


def pixels_of(program: Program) -> Pixels | None:
    """How the input of an integer model is made of pixels; None where it takes no raw ones."""
    return Pixels.from_settings(program.origin.settings or {})


def _borders(operands: Sequence[Operand], program: Program) -> dict[str, Codes]:
    """A model that tells who made it has all its metadata: what has no scale there was of 8 bits in the float model already."""
    raw = program.origin.version is not None
    found = {operand.name: border_codes(operand, raw=raw) for operand in operands}
    return {name: codes for name, codes in found.items() if codes is not None}
