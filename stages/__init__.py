"""One script per stage of dvc.yaml."""

import os

# OpenMP's threads wait by spinning. Beside another busy process that makes a small network 80 times slower (0.14 s
# became 11 s a photo on two cores); sleeping while they wait costs nothing that could be measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
