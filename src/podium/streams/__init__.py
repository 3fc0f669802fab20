"""Message streams: one small seam, and an adapter for each broker."""
