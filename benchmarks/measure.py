"""Everything that is measured of one network, as a `Row`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import latency, ours, theirs
from benchmarks.cases import Case
from benchmarks.closeness import Closeness, Exactness, closeness, exactness, run_all
from benchmarks.latency import Latency
from benchmarks.sizes import size_of
from qconv.integer.language.audit import Audit

FLOAT, OURS = "float", "ours"
LATENCY_SECONDS, QUICK_SECONDS = 5.0, 1.0  # of a network


@dataclass(frozen=True)
class Row:
    """The figures of a network. `sqnr` and `latency` are by model: OURS, the names of their variants, and FLOAT in `latency`.

    `scores` are of the float model, ours and the opponent, None where the network has no task; `opponent` is the variant of
    theirs with the best total SQNR.
    """

    name: str
    audit: Audit
    scores: tuple[float, float, float] | None
    sqnr: Mapping[str, Closeness]
    opponent: str
    failures: Mapping[str, str]
    exactness: Exactness
    latency: Latency
    sizes: tuple[int, int]  # bytes of the float model and of ours
    samples: tuple[int, int]  # for calibration and for SQNR

    def fastest(self) -> str:
        """The fastest variant of theirs."""
        return min((name for name in self.sqnr if name != OURS), key=self.latency.seconds)


def measure(case: Case, latency_seconds: float, tell: Callable[[str], None]) -> Row:
    """Quantizes with both tools and measures; `tell` is given each stage. Raises QconvError where qconv cannot."""
    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as name:
        folder = Path(name)
        tell("quantize")
        made, others = ours.quantize(case, folder), theirs.quantize(case, folder)
        models = {OURS: made.path, **others.models}
        tell("closeness")
        reference = run_all(case.path, case.evaluation)
        sqnr = {name: closeness(reference, path, case.evaluation) for name, path in models.items()}
        opponent = max(others.models, key=lambda name: sqnr[name].total)
        tell("exactness")
        exact = exactness(made.path, case.evaluation)
        tell("score")
        scores = _scores(case, made.path, models[opponent])
        tell("latency")
        times = latency.measure({FLOAT: case.path, **models}, case.evaluation[0], latency_seconds)
        sizes, counts = (size_of(case.path), size_of(made.path)), (len(case.calibration), len(case.evaluation))
    return Row(case.name, made.audit, scores, sqnr, opponent, others.failures, exact, times, sizes, counts)


def _scores(case: Case, made: Path, opponent: Path) -> tuple[float, float, float] | None:
    if case.score is None:
        return None
    return case.score(case.path), case.score(made), case.score(opponent)
