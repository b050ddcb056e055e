"""Secure aggregation: the coordinator learns the sum of the sites' updates and no single update.

The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving
Machine Learning" (CCS 2017), with active security, on the complete graph of the sites of a round.

1. keys: each site makes two key pairs and a seed for this round, and signs them with its node key.
2. shares: each site checks its peers' signatures against the fingerprints in its own policy, and
   divides its two secrets among them, each share sealed for one peer.
3. training: each site adds its own mask and one mask for each peer to its quantised update. In the
   sum of all updates, the masks of peers cancel.
4. survivors: the coordinator names the sites whose updates arrived; each of them signs the list.
5. unmasking: with at least `threshold` signatures on one list, each site returns, once in a round,
   its shares of the own masks of the survivors and of the secret keys of the lost sites.

No module here sends anything: `site.secure_training` and `coordinator.rounds.secure_round` do.
"""
