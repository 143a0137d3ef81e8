"""Stable Diffusion: photos and sentences in, cross-attention maps out. Only `settings` imports without torch."""
