"""`Analysis`: what was found, as one frozen value; text and JSON are renderings of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qconv.analyze.propose import Proposal

FORMAT = "qconv-analysis-1"


@dataclass(frozen=True)
class PlaceReport:
    """One place: SQNR of the outputs by number of bits where it alone is rounded, and where all others are, to 8 bits."""

    node: str
    op_type: str
    tensors: tuple[str, ...]
    readers: tuple[str, ...]
    alone_db: Mapping[int, float]
    weight_db: Mapping[int, float] | None
    activation_db: Mapping[int, float] | None
    without_db: float
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """The places of a network, the most sensitive first. `whole_db` is the SQNR of the whole network by number of bits."""

    model: str
    source: str
    samples: int
    whole_db: Mapping[int, float]
    places: tuple[PlaceReport, ...]
    proposals: tuple[Proposal, ...]

    def __repr__(self) -> str:
        return f"<Analysis of {len(self.places)} places of {self.model}, {len(self.proposals)} proposals>"

    def dumps(self) -> str:
        """The analysis as JSON."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "model": self.model,
            "source": self.source,
            "samples": self.samples,
            "whole_db": _plain(self.whole_db),
            "places": [
                {
                    "node": place.node, "op_type": place.op_type, "tensors": list(place.tensors), "readers": list(place.readers),
                    "alone_db": _plain(place.alone_db), "weight_db": _plain(place.weight_db),
                    "activation_db": _plain(place.activation_db), "without_db": round(place.without_db, 3),
                    "findings": list(place.findings),
                }
                for place in self.places
            ],
            "proposals": [{"what": p.what, "exclude": list(p.exclude), "sqnr_db": round(p.sqnr_db, 3)} for p in self.proposals],
        }  # fmt: skip
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _plain(by_bits: Mapping[int, float] | None) -> dict[str, float] | None:
    return None if by_bits is None else {str(bits): round(db, 3) for bits, db in by_bits.items()}
