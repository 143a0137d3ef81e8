"""Scores of proposals, and the choice of one for every expression (NumPy)."""
