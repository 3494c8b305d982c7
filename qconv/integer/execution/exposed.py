"""What onnxruntime computes for every tensor of an integer graph, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnxruntime as ort

from qconv.errors import ModelError
from qconv.integer.execution.arrays import Array
from qconv.model.pieces import pieces
from qconv.model.session import reason
from qconv.model.stages import Walk

_FAILED = "onnxruntime cannot run the integer graph on a sample"


class Exposed:
    """onnxruntime with tensors exposed, whose nodes run once for each sample."""

    def __init__(self, model: ir.Model, values: Sequence[ir.Value], *, optimize: bool = True) -> None:
        names = [[str(value.name) for value in piece] for piece in pieces(values)]
        self._walk = Walk(model, names, _FAILED, threads=1, optimize=optimize)

    def of(self, feeds: Mapping[str, Array]) -> Fetched:
        """The tensors of one sample."""
        return Fetched(self._walk.run(feeds))


class Fetched:
    """The tensors of one sample by name, asked for in the order of the graph; one piece is held at a time."""

    def __init__(self, found: Iterator[Mapping[str, Array]]) -> None:
        self._found = found
        self._held: Mapping[str, Array] = {}

    def array(self, name: str) -> Array:
        """One tensor. Raises ModelError where onnxruntime cannot run on the sample."""
        while name not in self._held:
            self._held = {}  # frees one piece before the next is computed
            self._held = next(self._found)
        return self._held[name]


@dataclass(frozen=True)
class Some(Mapping[str, Array]):
    """Those of the tensors of one sample that are among `names`, computed when they are asked for."""

    fetched: Fetched
    names: frozenset[str]

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        return self.fetched.array(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def run(session: ort.InferenceSession, names: Sequence[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs by name; raises ModelError with onnxruntime's reason."""
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"{_FAILED}: {reason(error)}") from error
