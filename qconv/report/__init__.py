"""Pages to look at: what verification found of one model, and several models side by side."""

from .comparison import comparison_page
from .page import report_page

__all__ = ["comparison_page", "report_page"]
