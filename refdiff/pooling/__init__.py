"""Masks brought to the attention grids, and other heat summed in masks: what scores want and no weight changes."""
