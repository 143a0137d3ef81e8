"""Tests of refdiff.diffusion on a miniature Stable Diffusion with random weights."""
