"""One run from start to finish, whatever starts it."""
