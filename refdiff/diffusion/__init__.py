"""Stable Diffusion: photos and sentences in, cross-attention maps out. Only settings and stores import without torch."""
