"""Looking at the outside world: one thing to a file."""
