"""federation.toml sets the plan of a run; options of `serve` take precedence."""

import re
from pathlib import Path

import pytest
from federation_homes import Homes
from node_processes import Ended, contents, told

from ecgfl_cli.federation.coordinator.runs.plan_file import PlanFile, Run, load_plan, resolve
from ecgfl_cli.federation.coordinator.runs.strategy_options import STRATEGY_NAMES
from ecgfl_cli.federation.flower.strategies import STRATEGIES
from ecgfl_cli.site.privacy_policy import PrivacyDemand, PrivacyPolicy

SERVE = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0")
AT_ONCE = ("--quorum-timeout", "200ms")
"""No site is there: the run ends before it begins."""


def write(homes: Homes, text: str) -> Path:
    homes.coordinator_home.plan.write_text(text, encoding="utf-8")
    return homes.coordinator_home.plan


def plan_line(ended: Ended) -> str:
    (line,) = (line for line in ended.said if line.startswith("coordinator: plan: "))
    return line


def test_init_writes_a_plan_in_which_everything_is_as_without_one(homes: Homes) -> None:
    plan = load_plan(homes.coordinator_home.plan)
    assert plan.run == Run()
    assert plan.sites is None


def test_every_commented_line_of_the_first_plan_is_valid(homes: Homes) -> None:
    path = homes.coordinator_home.plan
    lines = path.read_text().splitlines()
    for place, line in enumerate(lines):
        if re.match(r"# (\[|\w+ = )", line):
            lines[place] = line.removeprefix("# ")
    path.write_text("\n".join(lines))
    plan = load_plan(path)
    assert plan.run.model_fields_set == set(Run.model_fields)
    assert plan.sites is not None
    assert plan.sites["st-mary"].max_examples == 250_000
    assert plan.privacy is not None
    usual = PrivacyPolicy().model_dump()
    assert plan.privacy.model_dump() == {name: usual[name] for name in PrivacyDemand.model_fields}


def test_every_line_of_the_plan_is_an_option_of_serve() -> None:
    from ecgfl_cli.commands.coordinator_serve import command as serve

    options = {{"arch": "architecture"}.get(name, name) for name in serve.__annotations__} - {
        "context",
        "port",
        "host",
        "return",
    }
    options -= {"init_from", "from_scratch"}  # of one run: in the file they would hold every night
    assert options == set(Run.model_fields)


def test_without_a_plan_the_defaults_hold(homes: Homes) -> None:
    homes.coordinator_home.plan.unlink()
    assert "5 rounds of fedavg with beatnet" in plan_line(told(homes.coordinator, *SERVE, *AT_ONCE))


def test_serve_says_what_it_goes_by_and_options_go_before_the_file(homes: Homes) -> None:
    path = write(
        homes,
        '[run]\nrounds = 7\nstrategy = "median"\nmin_sites = 3\nlocal_epochs = 2\n'
        'learning_rate = 0.002\nhours = "00:00-23:59"\n'
        "[sites.alice]\n[sites.bob]\nmax_examples = 500\n[sites.carol]\n"
        "[privacy]\nnoise_multiplier = 6.0\nsteps = 2\n",
    )
    line = plan_line(told(homes.coordinator, *SERVE, *AT_ONCE, "--rounds", "9", "--arch", "ecgnet"))
    for words in (
        "9 rounds of median with ecgnet",
        "2 local epochs",
        "learning rate 0.002",
        "at least 3 sites within 0.2 s",
        "rounds begin 00:00-23:59",
        "sites alice, bob, carol",
        "differential privacy, noise_multiplier = 6.0, steps = 2",
        str(path),
    ):
        assert words in line


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[run]\nrounds = 0\n", "run.rounds = 0"),
        ('[run]\nrounds = "5"\n', "run.rounds = '5'"),
        ("[run]\nmin_sites = 1\n", "run.min_sites = 1"),
        ('[run]\nstrategy = "best"\n', "run.strategy = 'best'"),
        ('[run]\narchitecture = "transformer"\n', "run.architecture = 'transformer'"),
        ("[run]\nlearning_rate = -1\n", "run.learning_rate = -1"),
        ("[run]\nlearning_rate = nan\n", "run.learning_rate = nan"),
        ('[run]\nphase_timeout = "never"\n', "run.phase_timeout = 'never'"),
        ('[run]\nquorum_timeout = "0s"\n', "run.quorum_timeout = '0s'"),
        ('[run]\nhours = "at night"\n', "run.hours = 'at night'"),
        ("[run]\nmax_update_ratio = 0.5\n", "run.max_update_ratio = 0.5"),
        ("[run]\nround = 5\n", "run.round = 5"),
        ("[runs]\nrounds = 5\n", "runs = "),
        ('[sites."../evil"]\n', "sites.../evil"),
        ("[sites.alice]\nmax_examples = 0\n", "sites.alice.max_examples = 0"),
        ("[sites.alice]\nexamples = 10\n", "sites.alice.examples = 10"),
        ("[privacy]\nnoise_multiplier = 0\n", "privacy.noise_multiplier = 0"),
        ("[privacy]\nepsilon = 8.0\n", "privacy.epsilon = 8.0"),
        ('[privacy]\ntrained = "none"\n', "privacy.trained = 'none'"),
        ("[run\n", "not valid TOML"),
    ],
    ids=lambda value: value.replace("\n", " ") if "[" in value else "",
)
def test_what_is_wrong_is_named_by_file_and_field(homes: Homes, text: str, field: str) -> None:
    path = write(homes, text)
    before = contents(homes.coordinator)
    line = told(homes.coordinator, *SERVE, *AT_ONCE).refused(2)
    assert f"{path}: {field}" in line
    assert contents(homes.coordinator) == before


def test_an_option_of_another_strategy_is_named_where_it_stands(homes: Homes) -> None:
    path = write(homes, '[run]\nstrategy = "fedavg"\nproximal_mu = 0.1\n')
    assert f"{path}: run.proximal_mu is not an option of" in told(
        homes.coordinator, *SERVE, *AT_ONCE
    ).refused(2)


def test_command_line_strategy_ignores_options_of_the_files_one(
    homes: Homes,
) -> None:
    path = write(homes, '[run]\nstrategy = "fedprox"\nproximal_mu = 0.1\n')
    assert resolve(path, {"strategy": "fedavg"}).proximal_mu is None
    assert resolve(path, {"strategy": "fedprox"}).proximal_mu == 0.1


@pytest.mark.parametrize(
    ("options", "least"),
    [
        (("--strategy", "median"), 3),
        (("--strategy", "trimmed-mean"), 5),
        (("--strategy", "trimmed-mean", "--trimmed-share", "0.34"), 3),
        (("--strategy", "trimmed-mean", "--trimmed-share", "0.01"), 100),
        (("--strategy", "krum"), 5),
        (("--strategy", "krum", "--malicious-sites", "0"), 3),
        (("--strategy", "krum", "--malicious-sites", "3"), 9),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_strategy_that_needs_more_sites_than_the_plan_is_refused(
    homes: Homes, options: tuple[str, ...], least: int
) -> None:
    line = told(
        homes.coordinator, *SERVE, *AT_ONCE, *options, "--min-sites", str(least - 1)
    ).refused(2)
    assert f"--min-sites {least - 1} is too few" in line
    assert f"Require at least {least} sites" in line
    told(homes.coordinator, *SERVE, *AT_ONCE, *options, "--min-sites", str(least)).refused(4)


@pytest.mark.parametrize(
    "wrong",
    [
        *(("--trimmed-share", value) for value in ("0", "0.5", "-0.1", "nan", "much")),
        *(("--malicious-sites", value) for value in ("-1", "1.5")),
    ],
    ids=" ".join,
)
def test_a_number_out_of_a_robust_strategys_bounds_is_refused(
    homes: Homes, wrong: tuple[str, str]
) -> None:
    strategy = "krum" if wrong[0] == "--malicious-sites" else "trimmed-mean"
    assert wrong[0] in told(
        homes.coordinator, *SERVE, *AT_ONCE, "--min-sites", "9", "--strategy", strategy, *wrong
    ).refused(2)


def test_help_and_messages_list_every_strategy(homes: Homes) -> None:
    from ecgfl_cli.commands.coordinator_serve import command as serve

    assert tuple(STRATEGIES) == STRATEGY_NAMES
    shown = str(serve.__annotations__["strategy"].__metadata__[0].help)
    refused = told(homes.coordinator, *SERVE, *AT_ONCE, "--strategy", "best").refused(2)
    for name in STRATEGY_NAMES:
        assert name in shown
        assert name in refused


def test_fewer_named_sites_than_a_round_needs_are_refused(homes: Homes) -> None:
    path = write(homes, "[sites.alice]\n")
    line = told(homes.coordinator, *SERVE, *AT_ONCE).refused(2)
    assert f"{path}: sites lets 1 sites take part (alice)" in line


def test_a_named_site_that_is_not_enrolled_is_told_of(homes: Homes) -> None:
    write(homes, "[sites.alice]\n[sites.zoe]\n")
    ended = told(homes.coordinator, *SERVE, *AT_ONCE)
    assert [line for line in ended.said if "names zoe, which is not enrolled" in line]


def test_missed_quorum_ends_serve_with_one_line(homes: Homes) -> None:
    line = told(homes.coordinator, *SERVE, "--quorum-timeout", "300ms").refused(4)
    assert (
        "0 of at least 2 sites connected within 0.3 s; missing or refusing: alice, bob, carol"
        in line
    )
    assert "--quorum-timeout" in line


def test_an_empty_file_is_a_plan(homes: Homes) -> None:
    assert load_plan(write(homes, "")) == PlanFile()
