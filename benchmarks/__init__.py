"""Benchmarks: tables of what was measured; nothing here is imported by the product."""
