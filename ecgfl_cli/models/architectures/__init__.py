"""One file an architecture, named after it; each defines `ARCHITECTURE`."""
