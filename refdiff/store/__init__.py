"""Artifacts made shard by shard: fingerprints, work folders that survive being killed, publication."""
