"""The rendezvous: pure decisions, with no I/O and no clock. Time comes in as a number."""
