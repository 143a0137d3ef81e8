"""The demo: scenes drawn by rule, sentences about them, and the training of two miniature models."""
