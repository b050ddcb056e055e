"""The way from a site to the coordinator: address, proxy, certificate, clocks."""
