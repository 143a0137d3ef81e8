"""Shards in parallel: in this process, in several, or on a Dask cluster; the same files come out of each."""
