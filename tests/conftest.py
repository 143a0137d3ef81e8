"""Settings of all tests."""

import stages  # noqa: F401, I001 first: OpenMP then waits without spinning, which torch reads as it is imported

from hypothesis import settings

# A slow or busy machine is no defect; the examples are many enough to find one and few enough to run everywhere.
settings.register_profile("refdiff", deadline=None, max_examples=50)
settings.load_profile("refdiff")
