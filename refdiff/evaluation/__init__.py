"""Metrics of chosen masks, with what chance and the best proposal reach (NumPy)."""
