"""Starting a command: streams, terminal, signals, exit status."""
