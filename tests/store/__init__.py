"""Tests of refdiff.store."""
