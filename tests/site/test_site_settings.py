"""site.toml is checked by every command, and an error names the file, the field and the value."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.errors import UsageError
from ecgfl_cli.site.settings import SiteSettings, load_settings, write_settings
from ecgfl_cli.site.settings_edit import change_settings
from ecgfl_cli.site.toml_errors import line_of, statements

Ecgfl = Callable[..., Any]


def test_a_new_settings_file_holds_the_defaults(site: Path) -> None:
    assert load_settings(site / "site.toml") == SiteSettings.model_validate(
        {"site": {"name": "st-mary"}}
    )


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("keep = 10", "keep = 10\nkeeep = 3", "models.keeep", "3"),
        ("keep = 10", "keep = 0", "models.keep", "0"),
        ("keep = 10", 'keep = "many"', "models.keep", "many"),
        ("max_rounds = 200", "max_rounds = -1", "policy.max_rounds", "-1"),
        (
            "max_learning_rate = 0.01",
            "max_learning_rate = true",
            "policy.max_learning_rate",
            "True",
        ),
        ("max_learning_rate = 0.01", "max_learning_rate = nan", "policy.max_learning_rate", "nan"),
        ("max_learning_rate = 0.01", "max_learning_rate = inf", "policy.max_learning_rate", "inf"),
        (
            "max_learning_rate = 0.01",
            "max_learning_rate = -1.0",
            "policy.max_learning_rate",
            "-1.0",
        ),
        ("max_batch_size = 1024", "max_batch_size = 0", "policy.max_batch_size", "0"),
        (
            "min_batch_size = 16",
            "min_batch_size = 2000",
            "policy",
            "min_batch_size = 2000 is above max_batch_size = 1024",
        ),
        ('secagg = "off"', 'secagg = "required"', "policy", "at least 2 peers, and peers has 0"),
        ("max_rounds = 200", f"max_rounds = {'9' * 4000}", "policy.max_rounds", "999..."),
        (
            "max_rounds = 200",
            f"max_rounds = 0x{'f' * 9000}",
            "policy.max_rounds",
            "a number of thousands of digits",
        ),
        ("max_rounds = 200", f"max_rounds = {'9' * 9000}", "site.toml", "not valid TOML"),
        (
            "max_rounds = 200",
            f"max_rounds = {'[' * 3000}{']' * 3000}",
            "site.toml",
            "not valid TOML",
        ),
        ("[models]", "[modles]", "modles", "keep"),
        ('name = "st-mary"', "name = 7", "site.name", "7"),
        ('name = "st-mary"', 'name = "../x"', "site.name", "../x"),
        ("[recordings]", "[recordings]\nlead = 2", "recordings.lead", "2"),
    ],
)
def test_a_wrong_setting_is_named(
    site: Path, ecgfl: Ecgfl, export: Any, old: str, new: str, field: str, value: str
) -> None:
    path = site / "site.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    ran = ecgfl("ingest", export(1, seconds=12))
    assert ran.code == 2
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    for part in (str(path), field, value):
        assert part in ran.problems[0]


@pytest.mark.parametrize(
    "content", [b'[site\nname = "x"', b"[site]\nname = \xff\xfe", b"[site]\nname = x"]
)
def test_broken_toml_is_named_with_its_line(
    site: Path, ecgfl: Ecgfl, export: Any, content: bytes
) -> None:
    (site / "site.toml").write_bytes(content)
    ran = ecgfl("ingest", export(1, seconds=12))
    assert ran.code == 2
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert str(site / "site.toml") in ran.problems[0]


def test_a_settings_file_without_the_sites_name_is_refused(
    site: Path, ecgfl: Ecgfl, export: Any
) -> None:
    (site / "site.toml").write_text("")
    ran = ecgfl("ingest", export(1, seconds=12))
    assert ran.code == 2
    assert "site" in ran.problems[0]


def test_the_settings_lead_is_the_one_that_is_read(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    path = site / "site.toml"
    path.write_text(path.read_text().replace("[recordings]", '[recordings]\nlead = "V1"'))
    assert ecgfl("ingest", export(1)).code == 0
    (found,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert found["lead"] == "V1"


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ("[limits]\nmin_second = 3", "limits.min_second"),
        ('[limits]\nmin_seconds = "long"', "limits.min_seconds"),
        ("[limits]\nqrs_warn_mv = [1.0]", "limits.qrs_warn_mv"),
        ('[vocabulary]\n"Extrasystole" = "PVC"', "vocabulary.Extrasystole"),
        ('[[csv]]\nfiles = "*.hol"\nseperator = ";"', "csv.0.seperator"),
        ('[[csv]]\nseparator = ";"', "csv.0.files"),
    ],
)
def test_wrong_bounds_words_and_layouts_are_named(
    site: Path, ecgfl: Ecgfl, export: Any, section: str, named: str
) -> None:
    path = site / "site.toml"
    text = path.read_text()
    for heading in ("[limits]", "[vocabulary]"):
        if section.startswith(heading):
            text = text.replace(f"{heading}\n", "")
    path.write_text(f"{text}\n{section}\n")
    ran = ecgfl("ingest", export(1, seconds=12))
    assert ran.code == 2
    assert f"{path}: {named}" in ran.err
    assert "Traceback" not in ran.err


def test_a_site_sets_its_own_bounds(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    path = site / "site.toml"
    path.write_text(path.read_text().replace("[limits]\n", "[limits]\nmin_seconds = 20\n"))
    ran = ecgfl("--json", "validate", export(1, seconds=12))
    assert ran.code == 3
    assert [
        each["code"]
        for found in ran.json["findings"].values()
        for each in found
        if each["severity"] == "error"
    ] == ["too-short"]


def test_all_errors_are_reported_with_line_and_suggestion(site: Path) -> None:
    path = site / "site.toml"
    text = path.read_text()
    for old, new in [
        ("max_rounds = 200", "max_round = 200"),
        ("min_batch_size = 16", "min_batch_size = 0"),
        ("keep = 10", "kepe = 10\nkeep = 'many'"),
    ]:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    lines = text.splitlines()
    with pytest.raises(UsageError) as raised:
        load_settings(path)
    problems = raised.value.problem.removeprefix(f"{path}: ").split("; ")
    for field, key, suggestion in [
        ("policy.max_round = 200", "max_round = 200", "max_rounds"),
        ("policy.min_batch_size = 0", "min_batch_size = 0", None),
        ("models.kepe = 10", "kepe = 10", "keep"),
        ("models.keep = 'many'", "keep = 'many'", None),
    ]:
        (index,) = (index for index, each in enumerate(problems) if each.startswith(field))
        assert f"{field} (line {lines.index(key) + 1}): " in problems[index]
        if suggestion is not None:
            assert problems[index + 1].split()[-1] == f"{suggestion}?"


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("site", "name"), 2),
        (("site", "missing"), 1),
        (("policy", "metrics", 1), 5),
        (("csv", 0, "files"), 10),
        (("csv", 1, "files"), 13),
        (("csv", 1, "fs"), 12),
        (("vocabulary", "a b"), 15),
        (("missing",), None),
    ],
)
def test_line_of_a_setting(location: tuple[str | int, ...], line: int | None) -> None:
    text = """[site]
name = "st-mary"
[policy]
# metrics = []
metrics = [
  "loss",  # name = 1
]

[[csv]]
files = "a"

[[csv]]
files = "b"
[vocabulary]
"a b" = "V"
"""
    assert line_of(statements(text), location) == line


def test_many_errors_are_cut_short(site: Path) -> None:
    path = site / "site.toml"
    path.write_text("".join(f"wrong{number} = 1\n" for number in range(30)) + path.read_text())
    with pytest.raises(UsageError) as raised:
        load_settings(path)
    assert "wrong19 = 1 (line 20)" in raised.value.problem
    assert "wrong20" not in raised.value.problem


def test_a_changed_setting_keeps_comments_and_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    write_settings(path, "st-mary")
    before = path.read_text(encoding="utf-8").splitlines()
    change_settings(path, "policy", {"max_rounds": 7, "from_scratch": True})
    after = path.read_text(encoding="utf-8").splitlines()
    assert len(after) == len(before)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2
    policy = load_settings(path).policy
    assert (policy.max_rounds, policy.from_scratch) == (7, True)
