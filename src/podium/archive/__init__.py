"""Every request, score and answer, for good: kept frames become Delta tables, off the request path."""
