"""Training: the loop, and what runs beside it."""
