"""The store of a site: catalogue, de-identified signals and labels, and the beats cut from them."""

WORKER_MODULES = ("ecgfl_cli.store.stage", "ecgfl_cli.store.segment", "wfdb")
"""Modules that the worker processes of `ingest`, `validate` and `segment` need."""
