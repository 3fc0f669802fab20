"""granian, alone and with predict in the handler: what a server in Python can do at most."""
