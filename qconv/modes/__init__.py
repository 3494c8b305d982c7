"""Models whose activations stay in float: weight-only and dynamic quantization."""

from __future__ import annotations

from qconv.modes.dynamic import to_dynamic
from qconv.modes.places import Rewritten
from qconv.modes.weight_only import to_weight_only

__all__ = ["Rewritten", "to_dynamic", "to_weight_only"]
