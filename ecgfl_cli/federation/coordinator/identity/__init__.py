"""Certificates, keys and the sites that they belong to."""
