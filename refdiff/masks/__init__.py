"""Binary masks as run-length codes: sums in them, and their overlap."""
