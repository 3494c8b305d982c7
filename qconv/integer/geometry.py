"""What an operator is told apart from tensors: axes, strides, pads, modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


@dataclass(frozen=True)
class Geometry:
    """The attributes of one step, by name; the bodies of a Scan are programs and no part of it.

    Everything that asks for an attribute without a default raises ValueError where the step has none of that name.
    """

    attributes: Mapping[str, ir.Attr] = field(default_factory=dict)

    @classmethod
    def of(cls, node: ir.Node) -> Geometry:
        """The geometry of a node."""
        return cls({a.name: a for a in node.attributes.values() if not a.is_ref() and a.type not in _GRAPHS})

    def __contains__(self, name: str) -> bool:
        return name in self.attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        return self._attribute(name).as_int() if name in self or default is None else default

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        return tuple(self._attribute(name).as_ints() if name in self or default is None else default)

    def real(self, name: str, default: float) -> float:
        """A float attribute."""
        return self._attribute(name).as_float() if name in self else default

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return self._attribute(name).as_string() if name in self else default

    def _attribute(self, name: str) -> ir.Attr:
        if name not in self.attributes:
            raise ValueError(f"the attribute {name} is missing")
        return self.attributes[name]
