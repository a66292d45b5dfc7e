"""From layers to a list of calls: graph, rewrites, memory, plan, and the registry of kernels."""
