"""A dropped reply has a code for programs; its line for people stays in the JSON."""

import json

import numpy as np
import pytest
from fake_rounds import Rounds
from federation_homes import Homes
from flwr.app import Error

from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.coordinator.runs.dropped import DropCode, Dropped
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult
from ecgfl_cli.federation.coordinator.runs.run_record import RunReport
from ecgfl_cli.federation.messages import FAILED, POLICY_FORBIDS

ODD = Dropped("st: mary", DropCode.OUTLIER, "an update: too large")


def report() -> RunReport:
    return RunReport(
        run="r",
        architecture="ecgnet",
        plan={},
        began="2026-03-02T22:00:00.000+00:00",
        final="m",
        left_out=[ODD],
        rounds=[RoundResult(1, "m", ["alice"], 5, 0.1, dropped=[ODD])],
    )


def test_json_has_the_line_and_the_reply() -> None:
    content = json.loads(report().to_bytes())
    line = "st: mary: an update: too large"
    reply = {"site": "st: mary", "code": "outlier", "reason": "an update: too large"}
    assert (content["left_out"], content["left_out_replies"]) == ([line], [reply])
    (this_round,) = content["rounds"]
    assert (this_round["dropped"], this_round["dropped_replies"]) == ([line], [reply])
    result = report().rounds[0].as_dict()
    assert (result["dropped"], result["dropped_replies"]) == ([line], [reply])


def test_report_is_read_back() -> None:
    assert RunReport.model_validate_json(report().to_bytes()) == report()


def test_report_of_an_earlier_ecgfl_has_only_lines() -> None:
    content = json.loads(report().to_bytes())
    del content["left_out_replies"]
    del content["rounds"][0]["dropped_replies"]
    content["left_out"] = ["bob: no answer"]
    content["rounds"][0]["dropped"] = ["carol: it refused: its policy forbids it (code 9005)"]
    old = RunReport.model_validate_json(json.dumps(content))
    assert old.left_out == [Dropped("bob", DropCode.UNKNOWN, "no answer")]
    assert old.rounds[0].dropped == [
        Dropped("carol", DropCode.UNKNOWN, "it refused: its policy forbids it (code 9005)")
    ]
    assert old.sites == ["alice", "bob", "carol"]


@pytest.mark.parametrize(
    ("code", "expected"), [(POLICY_FORBIDS, DropCode.REFUSED), (FAILED, DropCode.FAILED)]
)
def test_code_of_a_site_that_answers_with_an_error(
    homes: Homes, code: int, expected: DropCode
) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    error = rounds.answer(2, Error(code, "-"))
    rounds.aggregate(rounds.good(1, 1.0), error, rounds.good(3, 1.0))
    assert [(reply.site, reply.code) for reply in rounds.last.dropped] == [("bob", expected)]


def test_codes_of_revoked_silent_and_invalid_sites(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    rounds.sites.revoked.add(1)
    with pytest.raises(RoundFailed):
        rounds.aggregate(rounds.good(1, 1.0), rounds.good(3, np.nan))
    assert {reply.site: reply.code for reply in rounds.record.report.left_out} == {
        "alice": DropCode.REVOKED,
        "bob": DropCode.NO_ANSWER,
        "carol": DropCode.INVALID,
    }


def test_code_of_an_outlier(homes: Homes) -> None:
    rounds = Rounds(homes, max_update_ratio=10.0)
    before = rounds.weights
    rounds.begin()
    updates = {1: 0.01, 2: 1.0, 3: 0.01}
    rounds.aggregate(*(rounds.good(node, before + size) for node, size in updates.items()))
    assert [(reply.site, reply.code) for reply in rounds.last.dropped] == [
        ("bob", DropCode.OUTLIER)
    ]
