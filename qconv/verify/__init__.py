"""The float and the integer model side by side: metrics, layers, audit, exactness, cost, verdict."""

from qconv.verify.report.report import Report
from qconv.verify.report.thresholds import Thresholds, Verdict
from qconv.verify.verify import Effort, Models, audit_optimized, verify

__all__ = ["Effort", "Models", "Report", "Thresholds", "Verdict", "audit_optimized", "verify"]
