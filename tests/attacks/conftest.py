"""Fixtures of the attacks: the federations of tests/federation."""

import importlib.util
import sys
from pathlib import Path

FEDERATION = Path(__file__).resolve().parents[1] / "federation"
sys.path.insert(0, str(FEDERATION))
_spec = importlib.util.spec_from_file_location("federation_fixtures", FEDERATION / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

prepared = _fixtures.prepared
copied = _fixtures.copied
homes = _fixtures.homes
processes = _fixtures.processes
module_processes = _fixtures.module_processes
