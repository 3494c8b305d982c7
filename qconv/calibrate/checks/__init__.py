"""What may be wrong with samples that a model accepts: one check per file, each a few sentences of warning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from qconv.calibrate.checks.check import Check
from qconv.calibrate.checks.constant import Constant
from qconv.calibrate.checks.few import Few
from qconv.calibrate.checks.identical import Identical
from qconv.calibrate.checks.scale import Scale
from qconv.calibrate.checks.still import still_tensors
from qconv.calibrate.data.source import InputInfo, Sample, known_length
from qconv.calibrate.data.wrapper import Wrapper


def all_checks(front: ir.Model | None, inputs: Sequence[InputInfo], *, part: bool = False) -> tuple[Check, ...]:
    """Every check of samples for a model with these inputs; a `part` of them may well be small.

    `front` is its `affine_front` before preparation, which folds batch norms away.
    """
    few = () if part else (Few(),)
    scale = () if front is None else (Scale(front, inputs),)
    return *few, Constant(), Identical(), *scale


@dataclass(frozen=True)
class Watched(Wrapper):
    """A source whose samples the checks see as they pass; for one pass, and read by one thread."""

    checks: Sequence[Check]

    def __len__(self) -> int:
        """As many as the source has; TypeError where that is not known, as `operator.length_hint` understands."""
        count = known_length(self.source)
        if count is None:
            raise TypeError("the number of samples is not known")
        return count

    def __iter__(self) -> Iterator[Sample]:
        """The samples of the source."""
        for sample in self.source:
            for check in self.checks:
                check.see(sample)
            yield sample

    def findings(self) -> list[str]:
        """What all checks have to say."""
        return [finding for check in self.checks for finding in check.findings()]


__all__ = ["Check", "Watched", "all_checks", "still_tensors"]
