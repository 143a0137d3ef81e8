"""A process that keeps latents: `python -m tests.diffusion.keep_latents FOLDER SEED SECONDS`."""

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.diffusion.latent_pool import LatentPool
from refdiff.store.fingerprint import digest_bytes

PHOTOS = 40
BUCKETS = 4  # so that processes meet


def name_photo(number: int) -> str:
    """A digest in one of a few buckets."""
    return f"{number % BUCKETS:03x}" + digest_bytes(str(number).encode())[3:]


def make_latent(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).standard_normal((4, 8, 8), np.float32)


def main() -> None:
    folder, seed, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    pool = LatentPool(folder, is_drawn=False)
    for number in np.random.default_rng(seed).permutation(PHOTOS).tolist():
        pool.keep(name_photo(number), "any", make_latent(number))
        time.sleep(seconds)


if __name__ == "__main__":
    main()
