"""What is known, made for people: in words for a terminal, as a page that opens from a disk."""
