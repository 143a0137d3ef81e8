"""Datasets as people have them (REFER, gRefCOCO, JSONL), read into tables of photos, expressions and true masks."""
