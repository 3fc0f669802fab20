"""Azure as code: what `podium render azure` writes."""
