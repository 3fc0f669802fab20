"""Trials: two contenders compared, gates and guards on what that finds. No I/O, no clock."""
