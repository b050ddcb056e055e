"""The connection from a site to the coordinator: address, proxy, certificate, clock, signature."""
