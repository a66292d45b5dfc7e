"""Files: trained nets on disk, and compiled kernels."""
