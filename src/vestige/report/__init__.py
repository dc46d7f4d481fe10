"""Values to text, JSON and pictures: knows no files and no arguments."""
