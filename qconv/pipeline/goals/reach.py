"""Steps from cheap to dear until an integer model is good enough, and the best one so far where none is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.errors import FloatNodesError
from qconv.integer.program import Program
from qconv.model.scratch import scratch_folder
from qconv.pipeline.analyze import analyze
from qconv.pipeline.calibrate import calibrate
from qconv.pipeline.goals.deadline import Deadline, OutOfTime
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.quantize import Quantized, quantize
from qconv.plan.make import tensors_to_observe
from qconv.sentences import some_of
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress
from qconv.verify.measure.compare import Comparison, compare
from qconv.verify.measure.sides import Side

Tell = Callable[[str], None]
_FALLBACK = "nearest weights"  # made first where time is limited; better weights are tried all the same
Step = tuple[str, QuantConfig]


@dataclass(frozen=True)
class Goal:
    """What is good enough: the least SQNR of the outputs in dB, and the most points of top-1 accuracy that may be lost.

    Without labels, the float model's probabilities tell what a class that changes costs. `seconds` bound the search.
    """

    min_sqnr_db: float | None = None
    max_drop_points: float | None = None
    seconds: float | None = None

    @property
    def asks(self) -> bool:
        """Whether there is anything to reach."""
        return self.min_sqnr_db is not None or self.max_drop_points is not None


@dataclass(frozen=True)
class Drop:
    """Points of top-1 accuracy lost, and their standard error where they are expected and not counted."""

    points: float
    error: float | None = None

    def __str__(self) -> str:
        return f"{self.points:.2f}{'' if self.error is None else f' +- {self.error:.2f}'} points lost"


@dataclass(frozen=True)
class Attempt:
    """One step: what was done, the model, and how good it is; `drop` is None where nothing is asked of it."""

    what: str
    config: QuantConfig
    result: Quantized
    sqnr_db: float
    drop: Drop | None
    met: bool

    @property
    def figures(self) -> str:
        """The figures as a person reads them."""
        return f"{self.sqnr_db:.1f} dB" if self.drop is None else f"{self.sqnr_db:.1f} dB, {self.drop}"


def reach(
    path: Path, calibration: Calibration, config: QuantConfig, goal: Goal, samples: SampleSource, *, threads: int = 0,
    tell: Tell = lambda text: None, began: float | None = None,
) -> Attempt:  # fmt: skip
    """The first attempt that meets the goal, else the best one; `tell` hears of each.

    `goal.seconds` count from `began` on time.monotonic's clock. With them, the nearest weights come first, so that there is
    something when they are over; an attempt that they end in is given up. Where accuracy is asked for and the outputs are no
    classes, no attempt meets the goal, and the best is that of the highest SQNR.
    """
    start = time.monotonic()
    deadline, best = Deadline(goal.seconds, start if began is None else began), None
    steps = _steps(path, calibration, config, goal, samples, threads, deadline)
    while (step := _next(steps, deadline, tell)) is not None:
        what, chosen = step
        attempt = _tried(path, calibration, what, chosen, goal, samples, threads, deadline, tell, needed=best is None)
        if attempt is None:
            continue
        tell(f"{what}: {attempt.figures}")
        if best is None:
            # Writing the model and comparing outputs again takes less; the rest is for what looks at the time late.
            deadline.reserve(1.5 * (time.monotonic() - start))
        best = attempt if best is None or _rank(attempt) > _rank(best) else best
        if attempt.met and what != _FALLBACK:
            return attempt
    assert best is not None
    return best


def _next(steps: Iterator[Step], deadline: Deadline, tell: Tell) -> Step | None:
    """The next step; None where there are no more, or no time to find one."""
    try:
        return next(steps, None)
    except OutOfTime:
        tell("no time to look for nodes that should be in float")
        return None


def _tried(
    path: Path, calibration: Calibration, what: str, config: QuantConfig, goal: Goal, samples: SampleSource, threads: int,
    deadline: Deadline, tell: Tell, *, needed: bool,
) -> Attempt | None:  # fmt: skip
    """One attempt; None where it cannot be made, or the time is over and it is not needed."""
    try:
        if needed:
            return _attempt(path, calibration, what, config, goal, samples, threads, lambda done, total: None)
        deadline.look()
        return _attempt(path, calibration, what, config, goal, samples, threads, deadline.look)
    except OutOfTime:
        tell(f"no time for: {what}")
        return None


def _steps(
    path: Path, calibration: Calibration, config: QuantConfig, goal: Goal, samples: SampleSource, threads: int,
    deadline: Deadline,
) -> Iterator[Step]:  # fmt: skip
    """What to try, from cheap to dear; each step keeps what the ones before it asked for."""
    if goal.seconds is not None and config.effort != "none":
        yield _FALLBACK, replace(config, effort="none")
    yield "as asked", config
    if config.effort != "full":
        config = replace(config, effort="full")
        yield "--effort full", config
    if (config.method or calibration.method) != "auto":
        yield "--effort full --method auto", replace(config, method="auto")
    if config.integer_only:
        return
    plain = replace(config, method="minmax")
    found = analyze(path, calibration, samples=samples, config=plain, threads=threads, progress=deadline.look)
    for proposal in found.proposals[::-1]:  # the one with the fewest nodes first
        left = replace(config, exclude=(*config.exclude, *proposal.exclude))
        yield f"in float: {some_of(proposal.exclude, 4)}", left


def _attempt(
    path: Path, calibration: Calibration, what: str, config: QuantConfig, goal: Goal, samples: SampleSource, threads: int,
    progress: Progress,
) -> Attempt | None:  # fmt: skip
    """Tries one way; None where nodes would have to stay in float and must not."""
    loaded = load_prepared(path, config.fixed)
    config = loaded.pinned(config)
    if not set(tensors_to_observe(loaded.ir.graph, config)) <= calibration.tensors.keys():
        calibration = calibrate(loaded, samples, config=config, method=config.method or calibration.method, threads=threads)
    try:
        result = quantize(loaded, calibration, config=config, samples=samples, threads=threads, progress=progress)
    except FloatNodesError:
        if what in (_FALLBACK, "as asked"):
            raise
        return None
    with scratch_folder() as folder:
        written = folder / "integer.onnx"
        result.save(written)
        sides = Side(path, threads=threads, fixed=loaded.fixed), Side(written, Program.read(result.model), threads=threads)
        found = compare(*sides, samples, progress)
    sqnr = min(output.similarity.sqnr_db for output in found.outputs)
    drop = None if goal.max_drop_points is None else _drop(found)
    met = (goal.min_sqnr_db is None or sqnr >= goal.min_sqnr_db) and (
        goal.max_drop_points is None or (drop is not None and drop.points <= goal.max_drop_points + 1e-9)
    )
    return Attempt(what, config, result, sqnr, drop, met)


def _drop(found: Comparison) -> Drop | None:
    """What is lost by the labels; without any, what the float model's probabilities expect, of the output that loses most.

    Of a hundred samples, one whose class changes would be a point, though the float network itself is in doubt there.
    """
    if found.accuracy is not None:
        return Drop(100.0 * (found.accuracy.float_top1 - found.accuracy.integer_top1))
    classes = [output.classes for output in found.outputs if output.classes is not None]
    worst = max(classes, key=lambda item: item.loss, default=None)
    return None if worst is None else Drop(100.0 * worst.loss, 100.0 * worst.loss_error)


def _rank(attempt: Attempt) -> tuple[bool, float, float]:
    return attempt.met, -(0.0 if attempt.drop is None else attempt.drop.points), attempt.sqnr_db
