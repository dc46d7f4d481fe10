"""Keeping runs and finding them. Records are the truth; the index is rebuilt from them."""
