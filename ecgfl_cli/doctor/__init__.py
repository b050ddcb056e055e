"""Checks before the first nightly run. They change nothing."""
