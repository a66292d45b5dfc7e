"""Looking at a net: what its layers make, hold, cost and see, which matrix a convolution is, and what is wrong."""

from .gradcheck import GradCheck, gradcheck
from .matrix import SparseMatrix, conv_matrix
from .summary import Row, Summary, summarize
from .verify import Verification, verify

__all__ = [
    "GradCheck",
    "Row",
    "SparseMatrix",
    "Summary",
    "Verification",
    "conv_matrix",
    "gradcheck",
    "summarize",
    "verify",
]
