"""Two contenders over one period, from the tables: what both said, and what really happened."""
