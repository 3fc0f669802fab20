"""The gateway: the front door. It holds no model."""
