"""refdiff: zero-shot referring image segmentation (Ref-Diff, arXiv 2308.16777) as a cached pipeline.

Importing the package imports no model library; modules that run a network import torch themselves.
"""

__version__ = "0.1.0"
