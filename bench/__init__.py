"""Podium measured: beside its peers, and against its own targets."""
