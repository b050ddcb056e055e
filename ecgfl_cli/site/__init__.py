"""A site's home folder: its settings, keys, lock, policy and audit log."""
