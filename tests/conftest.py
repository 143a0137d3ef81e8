"""Settings of all tests."""

import signal

from hypothesis import settings

import refdiff  # noqa: F401 it sets how OpenMP waits, which torch reads as it is imported

# Tests interrupt processes, which inherit it when a shell in the background has this signal ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow or busy machine is no defect; the examples are many enough to find one and few enough to run everywhere.
settings.register_profile("refdiff", deadline=None, max_examples=50)
settings.load_profile("refdiff")
