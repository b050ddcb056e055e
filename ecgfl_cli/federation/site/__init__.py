"""A site's part in the federation."""
