"""How the demo was made: scenes drawn by rule, sentences about them, and the training of two miniature models.

It is no part of the package `refdiff`, which holds the trained models alone (`refdiff/demo`).
"""
