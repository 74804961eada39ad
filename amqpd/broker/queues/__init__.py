"""What waits in a queue, in which order it leaves, and who gets it."""
