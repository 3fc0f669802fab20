"""Podium itself."""
