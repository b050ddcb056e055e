"""Bounds that both sides hold, known without Flower."""

MOST_EXAMPLES = 1_000_000_000
LARGEST_PROXIMAL_MU = 100.0
"""Li et al. (MLSys 2020) try 0.001 to 1."""

LARGEST_EPOCHS = 10_000
LARGEST_BATCH = 1_000_000
LARGEST_LEARNING_RATE = 1e9
"""Largest numbers in a request. They are above what any policy could allow, and keep out numbers of thousands of digits."""
