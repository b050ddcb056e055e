"""Largest values of the numbers in requests and plans.

Each is larger than any policy of a site allows. They exclude numbers with thousands of digits.
"""

MOST_EXAMPLES = 1_000_000_000
"""Largest number of examples that a site can report."""

LARGEST_PROXIMAL_MU = 100.0
"""Largest proximal term of FedProx.

Li et al. (Federated Optimization in Heterogeneous Networks, MLSys 2020) use 0.001 to 1.
"""

LARGEST_EPOCHS = 10_000
"""Largest number of local epochs in a round."""

LARGEST_BATCH = 1_000_000
"""Largest number of beats in a batch."""

LARGEST_LEARNING_RATE = 1e9
"""Largest learning rate of a site or of a server optimiser."""
