"""Differentially private training: mechanisms, and their randomness."""
