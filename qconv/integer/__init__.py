"""What an integer graph is, and what it computes: the judge of the graphs that qconv makes. It never imports `lower`."""

from qconv.integer.audit import Audit, FloatNode, audit
from qconv.integer.compare import Judge, Mismatch, mismatches
from qconv.integer.executor import Executor
from qconv.integer.spec import check

__all__ = ["Audit", "Executor", "FloatNode", "Judge", "Mismatch", "audit", "check", "mismatches"]
