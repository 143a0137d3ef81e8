"""Checks of the whole params.yaml and of the models that it names, before anything is computed."""
