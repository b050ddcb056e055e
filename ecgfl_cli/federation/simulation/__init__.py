"""Strategies tried on virtual sites of one machine."""
