"""A demonstration of ecgfl that needs no recordings."""
