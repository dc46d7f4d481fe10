"""What we know about: frozen values and pure functions, which import nothing but errors."""
