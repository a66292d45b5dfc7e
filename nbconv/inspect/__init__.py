"""Looking at a net: what its layers make, hold and cost, and whether its numbers are right."""

from .gradcheck import GradCheck, gradcheck
from .summary import Row, Summary, summarize
from .verify import Verification, verify

__all__ = ["GradCheck", "Row", "Summary", "Verification", "gradcheck", "summarize", "verify"]
