"""Recording from inside a program: its output folder, its functions, its values, its workers, a notebook's cells."""
