"""Looking at a net: what its layers make, hold and cost."""

from .summary import Row, Summary, summarize

__all__ = ["Row", "Summary", "summarize"]
