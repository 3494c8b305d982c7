"""What onnxruntime computes for every tensor of an integer graph, fetched a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnxruntime as ort

from qconv.errors import ModelError
from qconv.integer.execution.arrays import Array
from qconv.model.pieces import pieces
from qconv.model.session import giving_back, open_session, reason


class Exposed:
    """onnxruntime with tensors exposed; a single session stays open where one piece holds all, else each is opened in turn."""

    def __init__(self, model: ir.Model, values: Sequence[ir.Value], *, optimize: bool = True) -> None:
        self._model, self._optimize = model, optimize
        self._pieces = [[str(value.name) for value in piece] for piece in pieces(values)]
        self._place = {name: place for place, piece in enumerate(self._pieces) for name in piece}
        self._open: tuple[int, ort.InferenceSession] | None = None

    def piece(self, name: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The tensors of the piece that `name` is in. Raises ModelError where onnxruntime cannot run on `feeds`."""
        place = self._place[name]
        if self._open is None or self._open[0] != place:
            self._open = None  # frees the other session first
            self._open = place, open_session(self._model, outputs=self._pieces[place], threads=1, optimize=self._optimize)
        return run(self._open[1], self._pieces[place], feeds)


class Fetched:
    """The tensors of one sample by name. Asked for in the order of the graph, every piece is run once; one is held at a time."""

    def __init__(self, exposed: Exposed, feeds: Mapping[str, Array]) -> None:
        self._exposed, self._feeds = exposed, feeds
        self._held: dict[str, Array] = {}

    def array(self, name: str) -> Array:
        """One tensor. Raises ModelError where onnxruntime cannot run on the sample."""
        if name not in self._held:
            self._held = {}  # frees one piece before the next is computed
            self._held = self._exposed.piece(name, self._feeds)
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
        return dict(zip(names, session.run(names, dict(feeds), giving_back()), strict=True))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"onnxruntime cannot run the integer graph on a sample: {reason(error)}") from error
