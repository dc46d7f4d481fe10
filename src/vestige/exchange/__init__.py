"""In and out: what other systems recorded, and their configurations, in our words."""
