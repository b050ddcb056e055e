"""Checks of a recording: what is wrong, how severe it is, and how to fix it."""
