"""Flask and gunicorn, as in the workshop."""
