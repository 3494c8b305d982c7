"""Quantized graphs in: a float graph that computes the same but for its roundings, and the parameters that it had."""

from .encodings import read_encodings
from .imported import Imported, import_quantized, is_quantized
from .thresholds import signs_to_thresholds

__all__ = ["Imported", "import_quantized", "is_quantized", "read_encodings", "signs_to_thresholds"]
