"""The servers that Podium is measured beside, each in a folder and a virtual environment of its own."""
