"""How fast the kernels are, and how exact: ``python -m bench --help``."""
