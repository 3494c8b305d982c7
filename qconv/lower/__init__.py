"""float graph + plan -> integer graph."""

from qconv.lower.lower import Lowering, lower

__all__ = ["Lowering", "lower"]
