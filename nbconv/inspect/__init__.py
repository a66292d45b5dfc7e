"""Looking at a net: what its layers make, hold and cost."""
