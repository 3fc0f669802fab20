"""A model that is a process of its own: questions on its standard input, answers on its standard output."""
