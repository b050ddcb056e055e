"""The newest number in a field of the log is found from its end."""

import json
from pathlib import Path

import pytest

from ecgfl_cli.site import audit
from ecgfl_cli.site.audit import newest_number


@pytest.mark.parametrize("size", [1, 7, 64, 2**16])
def test_the_newest_line_with_the_field_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(audit, "READ_AT_ONCE", size)
    log = tmp_path / "audit.jsonl"
    assert newest_number(log, "models_change") == 0
    lines = [{"models_change": 3}, {"models_change": 5, "x": "y" * 100}, {"event": "join"}, {}]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    log.write_text(text)
    assert newest_number(log, "models_change") == 5
    assert newest_number(log, "root_version") == 0
    log.write_text(text + '{"models_change":true}\n{"models_change":"9"}\n{"models_change":6')
    assert newest_number(log, "models_change") == 5, "an incomplete line does not count"
