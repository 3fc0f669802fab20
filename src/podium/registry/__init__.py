"""Versions of models, by digest."""
