"""Settings of all tests."""

from hypothesis import settings

import refdiff  # noqa: F401 first: it sets how OpenMP waits, which torch reads as it is imported

# A slow or busy machine is no defect; the examples are many enough to find one and few enough to run everywhere.
settings.register_profile("refdiff", deadline=None, max_examples=50)
settings.load_profile("refdiff")
