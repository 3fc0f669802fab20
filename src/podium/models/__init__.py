"""Models: how one is written, packed into an immutable folder, and loaded again safely."""
