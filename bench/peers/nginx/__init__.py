"""nginx answering a constant: what this machine can do at most."""
