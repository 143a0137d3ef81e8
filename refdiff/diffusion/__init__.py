"""Stable Diffusion: photos and sentences in, cross-attention maps out.

Only `settings` and `latent_pool` import without torch.
"""
