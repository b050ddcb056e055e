"""File formats -> `Recording`. Knows nothing of the program that uses it."""
