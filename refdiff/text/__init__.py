"""Sentences: the word that a sentence is about, where the models see it, and the direction that it states."""
