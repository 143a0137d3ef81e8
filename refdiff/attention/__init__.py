"""Attention maps: their names, how they are laid out in a store, and reading one."""
