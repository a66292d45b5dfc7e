"""Looking at a net: what its layers make, hold, cost and see, and which matrix a convolution is."""

from .matrix import SparseMatrix, conv_matrix
from .summary import Row, Summary, summarize

__all__ = ["Row", "SparseMatrix", "Summary", "conv_matrix", "summarize"]
