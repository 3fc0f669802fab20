"""What became of an endpoint's requests, hour by hour: lines of figures, recomputed from the tables."""
