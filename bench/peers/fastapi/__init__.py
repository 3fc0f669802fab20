"""FastAPI and uvicorn."""
