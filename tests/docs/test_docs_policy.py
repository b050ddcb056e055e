"""docs/hospital.md lists every setting of the policy with its default, which `init` writes."""

import json
import re
import tomllib
from pathlib import Path

from ecgfl_cli.site.policy import METRICS, Policy
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.site.settings import write_settings

HOSPITAL = Path(__file__).resolve().parents[2] / "docs" / "hospital.md"
PRIVACY = HOSPITAL.read_text(encoding="utf-8").split("### How to train with differential privacy")[
    1
]
PRIVACY = PRIVACY.split("### ")[0]
IN_WORDS = {"coordinators": "any", "hours": "any", "metrics": "all", "dp": "none", "peers": "none"}


def documented() -> dict[str, str]:
    """Setting -> its default as the table shows it."""
    text = HOSPITAL.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (`[^|]+`) \| ([^|]+) \|",
        text[text.index("| key | default |") :].split("\n\n")[0],
        re.M,
    )
    found: dict[str, str] = {}
    for names, defaults in rows:
        keys = re.findall(r"`([a-z_]+)`", names)
        values = (
            [defaults.strip().strip("`")]
            if len(keys) == 1
            else [each.strip().strip("`") for each in defaults.split(",")]
        )
        found |= dict(zip(keys, values, strict=True))
    return found


def test_the_table_names_every_setting_and_its_default() -> None:
    policy, table = Policy(), documented()
    assert table.keys() == Policy.model_fields.keys()
    for name, shown in table.items():
        assert IN_WORDS.get(name) == shown or json.loads(shown) == getattr(policy, name), name


def test_init_writes_the_defaults(tmp_path: Path) -> None:
    write_settings(tmp_path / "site.toml", "st-mary")
    written = tomllib.loads((tmp_path / "site.toml").read_text(encoding="utf-8"))["policy"]
    assert Policy.model_validate(written) == Policy()
    assert written["metrics"] == list(METRICS)
    left_out = Policy.model_fields.keys() - written.keys()
    text = (tmp_path / "site.toml").read_text(encoding="utf-8")
    assert [name for name in left_out - {"dp"} if f"# {name} = " not in text] == []
    template = text[text.index("# [policy.dp]") : text.index("[models]")]
    values = tomllib.loads(template.replace("# ", ""))["policy"]["dp"]
    assert PrivacyPolicy.model_validate(values) == PrivacyPolicy()


def test_the_table_names_every_setting_of_privacy() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| `?([^|`]+?)`? \|", PRIVACY, re.M)
    shown = {name: json.loads(value) for name, value in rows}
    assert shown == PrivacyPolicy().model_dump()
