"""Workers: the processes that score."""
