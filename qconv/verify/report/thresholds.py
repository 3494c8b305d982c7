"""What a user demands of an integer model, and whether it meets that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qconv.errors import UsageError
from qconv.verify.measure.classes import Accuracy
from qconv.verify.measure.compare import OutputReport


@dataclass(frozen=True)
class Verdict:
    """Whether all demands are met, and a sentence for each that is not."""

    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Thresholds:
    """Demands; None demands nothing.

    `min_sqnr`: of every output, in dB. `min_agreement`: share in [0, 1] of the same first class, of every output of class
    scores. `max_drop`: top-1 accuracy lost against the float model, as a share in [0, 1]. Raises UsageError beyond.
    """

    min_sqnr: float | None = None
    min_agreement: float | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        for option, share in (("--min-agreement", self.min_agreement), ("--max-drop", self.max_drop)):
            if share is not None and not 0.0 <= share <= 1.0:
                raise UsageError(f"{option} takes a share between 0 and 1, not {share:g}; 1 % is 0.01")

    def judge(self, outputs: Sequence[OutputReport], accuracy: Accuracy | None, faults: Sequence[str] = ()) -> Verdict:
        """The verdict. A demand that cannot be judged is not met; `faults` fail whatever is demanded."""
        reasons = (*faults, *self._sqnr(outputs), *self._agreement(outputs), *self._drop(accuracy))
        return Verdict(not reasons, reasons)

    def _sqnr(self, outputs: Sequence[OutputReport]) -> Iterator[str]:
        if self.min_sqnr is None:
            return
        for output in outputs:
            found = output.similarity.sqnr_db
            if not found >= self.min_sqnr:
                yield f"output {output.name} has an SQNR of {found:.2f} dB, and {self.min_sqnr:g} dB are asked for"

    def _agreement(self, outputs: Sequence[OutputReport]) -> Iterator[str]:
        if self.min_agreement is None:
            return
        scores = [(output.name, output.classes) for output in outputs if output.classes is not None]
        if not scores:
            yield "agreement cannot be judged: no output has the form of class scores"
        for name, classes in scores:
            if classes.top1 < self.min_agreement:
                yield (
                    f"output {name} names the float model's class in {classes.top1:.2%} of the cases, "
                    f"and {self.min_agreement:.2%} are asked for"
                )

    def _drop(self, accuracy: Accuracy | None) -> Iterator[str]:
        if self.max_drop is None:
            return
        if accuracy is None:
            yield "the loss of accuracy cannot be judged: no sample has a label that fits an output; give them with --labels"
        elif accuracy.drop > self.max_drop:
            yield (
                f"top-1 accuracy falls from {accuracy.float_top1:.2%} to {accuracy.integer_top1:.2%}, "
                f"and a loss of {self.max_drop:.2%} is allowed"
            )
