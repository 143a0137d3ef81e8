"""Many weightings of one method at once: what they reach, which is best, and how that holds on another split."""
