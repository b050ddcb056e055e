"""Local training on this site's own beats."""
