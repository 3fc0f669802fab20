"""The server door: a model that answers HTTP requests, wherever it runs."""
