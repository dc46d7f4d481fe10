"""What Vestige costs, against a peer in the same run. `make bench` prints the table."""
