"""What may be written in an integer graph, and who reads it."""
