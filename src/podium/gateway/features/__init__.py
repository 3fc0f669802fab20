"""Inputs of models that the gateway looks up itself, once for each request, before its frame leaves."""
