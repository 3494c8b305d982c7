"""`Report`: everything that verification finds, as one frozen value; text and JSON are renderings of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qconv.errors import ArtifactError
from qconv.integer.language.audit import Audit
from qconv.verify.exact.exactness import Exactness
from qconv.verify.layers.reports import LayerReport
from qconv.verify.measure.classes import Accuracy
from qconv.verify.measure.compare import OutputReport
from qconv.verify.measure.cost import Cost
from qconv.verify.report.plain import from_plain, to_plain
from qconv.verify.report.thresholds import Verdict

FORMAT = "qconv-report-2"


@dataclass(frozen=True)
class DataReport:
    """The samples: where they come from, how many were run, and what a user must know before trusting them."""

    source: str
    samples: int
    warning: str | None


@dataclass(frozen=True, repr=False)
class Report:
    """The float model and the integer model side by side.

    `written` audits the graph of the file, `optimized` the one that onnxruntime makes of it and runs. `layers` are ordered by
    SQNR, the worst first, over `layer_samples` samples. `warnings` are results that nobody should overlook. Shares are in [0, 1].
    """

    float_model: str
    integer_model: str
    data: DataReport
    outputs: tuple[OutputReport, ...]
    accuracy: Accuracy | None
    layers: tuple[LayerReport, ...]
    layer_samples: int
    written: Audit
    optimized: Audit
    exactness: Exactness
    cost: Cost
    verdict: Verdict
    warnings: tuple[str, ...] = ()

    @property
    def working_layers(self) -> tuple[LayerReport, ...]:
        """The layers that compute, in their order: those that only move elements have the error of what they read."""
        return tuple(layer for layer in self.layers if not layer.moves)

    def __repr__(self) -> str:
        worst = min((output.similarity.sqnr_db for output in self.outputs), default=math.nan)
        told = f"{len(self.outputs)} outputs, the worst at {worst:.1f} dB, {len(self.warnings)} warnings"
        return f"<Report of {self.integer_model}: {told}>"

    def to_json(self) -> dict[str, Any]:
        """The report as plain data. An infinite SQNR (no error at all) is null."""
        data: dict[str, Any] = {"format": FORMAT, **to_plain(self)}
        for audit, own in ((data["written"], self.written), (data["optimized"], self.optimized)):
            audit["integer_only"] = own.integer_only
        return data

    def dumps(self) -> str:
        """The text of the report for programs."""
        return json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`. Raises ArtifactError for other data."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise ArtifactError(f"this is not a report ({FORMAT}); write one with `qconv verify --json`")
        try:
            return from_plain(cls, data)
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise ArtifactError(f"the report is damaged ({type(error).__name__}: {error}); run `qconv verify` again") from None
