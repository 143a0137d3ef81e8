"""Stores among several people: real remotes, real clones, buckets."""
