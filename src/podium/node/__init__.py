"""Everything of an endpoint on one machine: the broker, and the processes around it, kept alive."""
