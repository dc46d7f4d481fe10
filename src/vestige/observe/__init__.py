"""Seeing which files a run uses: one interface, then one file per way of seeing."""
