"""CLIP: sentences, local views and global views of candidate masks as unit vectors."""
