"""A sentence about a node, for the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """What a person should know about the node named `node`; `text` is shown and never parsed."""

    node: str
    text: str
