"""The coordinator's part in the federation."""
