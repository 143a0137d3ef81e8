"""refdiff: zero-shot referring image segmentation (Ref-Diff, arXiv 2308.16777) as a cached pipeline.

Importing the package imports no model library; modules that run a network import torch themselves.
"""

import os

# OpenMP's threads wait by spinning. Beside another busy process that makes a small network 80 times slower (0.14 s
# became 11 s a photo on two cores); sleeping while they wait costs nothing that could be measured. It is read when
# torch is imported, so it stands here, where every command, stage and test comes by first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
