"""What computes between quantizers."""

from __future__ import annotations

from torch import nn

from .quantizers import ActivationQuantizer


class BetweenQuantizers(nn.Module):
    """A module that knows the quantizers of its inputs, None for those in float, and that of its result once it is known."""

    def __init__(self, *sources: ActivationQuantizer | None) -> None:
        super().__init__()
        self._ends: list[ActivationQuantizer | None] = [*sources, None]  # in a list they are no modules of this one

    @property
    def source(self) -> ActivationQuantizer | None:
        """The quantizer of the first input; None where it is in float."""
        return self._ends[0]

    @property
    def target(self) -> ActivationQuantizer | None:
        """The quantizer that rounds the result."""
        return self._ends[-1]

    def connect(self, old: ActivationQuantizer | None, new: ActivationQuantizer) -> None:
        """Puts `new` in the place of `old`; of None, as the result's."""
        if old is None:
            self._ends[-1] = new
        else:
            self._ends = [new if end is old else end for end in self._ends]
