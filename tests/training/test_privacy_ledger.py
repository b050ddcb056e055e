"""The privacy ledger: what is spent stays spent, and a ledger that was changed is refused."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_kills import faults_of, kill_often

from ecgfl_cli.errors import PolicyRefused, UnusableInput, UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site import audit, audit_check
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import make_keys
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of, epsilon_of_fixed_plan
from ecgfl_cli.training.ledger.ledger import Patients, PrivacyLedger

POLICY = PrivacyPolicy(epsilon=4.0, delta=1e-3, noise_multiplier=3.7, sampling=1.0, steps=4)
ROUND = Mechanism(noise_multiplier=3.7, sampling=1.0, steps=4)
FORTY: dict[str, tuple[str, ...]] = {f"patient-{number}": () for number in range(40)}


@pytest.fixture
def site(tmp_path: Path) -> Home:
    home = Home(tmp_path / "site")
    home.root.mkdir()
    make_keys(home)
    return home


def reserve(home: Home, patients: Patients = FORTY, number: int = 1) -> set[str]:
    return PrivacyLedger(home).reserve(POLICY, ROUND, patients, f"request-{number}", "r1", number)


def test_epsilon_agrees_with_published_figures() -> None:
    """40 patients, all in each step, 20 steps, delta 1e-3: epsilon 1, 4 and 8."""
    for noise, epsilon in ((11.5, 1), (3.7, 4), (2.15, 8)):
        plan = [Mechanism(noise_multiplier=noise, sampling=1.0, steps=20)]
        assert epsilon_of_fixed_plan(plan, 1e-3) == pytest.approx(epsilon, rel=0.03)
        assert epsilon_of_fixed_plan(plan, 1e-3) < epsilon_of(plan, 1e-3) < 1.2 * epsilon


def test_sampling_and_splitting_into_rounds() -> None:
    whole = Mechanism(noise_multiplier=2.0, sampling=0.5, steps=20)
    parts = [whole.model_copy(update={"steps": 4})] * 5
    assert epsilon_of(parts, 1e-5) == pytest.approx(epsilon_of([whole], 1e-5))
    assert epsilon_of([whole.model_copy(update={"sampling": 1.0})], 1e-5) > epsilon_of(parts, 1e-5)
    assert epsilon_of([], 1e-5) == 0


def test_the_budget_ends_and_is_never_given_back(site: Home) -> None:
    affordable = next(
        rounds
        for rounds in range(100)
        if epsilon_of([ROUND] * (rounds + 1), POLICY.delta) > POLICY.epsilon
    )
    for number in range(affordable):
        assert reserve(site, number=number) == FORTY.keys()
    with pytest.raises(PolicyRefused, match=r"policy\.dp\.epsilon = 4"):
        reserve(site, number=affordable)
    (cohort,) = PrivacyLedger(site).cohorts()
    assert len(cohort.reservations) == affordable > 1
    assert (
        cohort.spent("patient", POLICY.delta)
        <= POLICY.epsilon
        < cohort.spent("patient", POLICY.delta, [ROUND])
    )


def test_new_patients_bring_a_budget_of_their_own(site: Home) -> None:
    with contextlib.suppress(PolicyRefused):
        for number in range(100):
            reserve(site, number=number)
    new: dict[str, tuple[str, ...]] = {f"new-{number}": () for number in range(3)}
    assert reserve(site, FORTY | new) == new.keys()
    first, second = PrivacyLedger(site).cohorts()
    assert (first.patients, second.patients) == (FORTY.keys(), new.keys())
    assert len(second.reservations) == 1
    assert second.spent("patient", POLICY.delta) < first.spent("patient", POLICY.delta)


def test_a_patient_counted_under_another_pseudonym_is_left_out(site: Home) -> None:
    reserve(site)
    merged = {"patient-1": ("patient-2",), "new-1": ("patient-3",), "patient-4": ("unknown",)}
    assert reserve(site, merged) == {"patient-4"}


def test_a_removed_patient_keeps_the_cohort(site: Home) -> None:
    reserve(site)
    without = {name: () for name in FORTY if name != "patient-7"}
    reserve(site, without)
    reserve(site)
    (cohort,) = PrivacyLedger(site).cohorts()
    assert len(cohort.reservations) == 3


def remove(path: Path) -> None:
    path.unlink()
    path.with_suffix(".head").unlink()


def shorten(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"steps":4', b'"steps":1'))


@pytest.mark.parametrize("change", [remove, shorten, edit])
def test_a_changed_ledger_is_refused(site: Home, change: Callable[[Path], None]) -> None:
    reserve(site)
    reserve(site, number=2)
    change(site.privacy)
    with pytest.raises(UnusableInput, match=r"privacy\.jsonl.*Restore privacy\.jsonl"):
        reserve(site, number=3)


def test_an_older_ledger_is_refused(site: Home) -> None:
    reserve(site)
    older = {path: path.read_bytes() for path in site.root.glob("privacy.*")}
    reserve(site, number=2)
    for path, content in older.items():
        path.write_bytes(content)
    with pytest.raises(UnusableInput, match="the audit log names a ledger of 3 lines"):
        reserve(site, number=3)


def test_another_secret_is_refused(site: Home) -> None:
    reserve(site)
    site.secret.write_bytes(bytes(32))
    with pytest.raises(UnusableInput, match=str(site.secret)):
        reserve(site, number=2)


def test_a_round_above_the_whole_budget_is_refused(site: Home) -> None:
    """New patients pay for their first round like everybody."""
    costly = ROUND.model_copy(update={"noise_multiplier": 0.5})
    with pytest.raises(PolicyRefused, match=r"one round costs epsilon .*policy\.dp\.epsilon = 4"):
        PrivacyLedger(site).reserve(POLICY, costly, FORTY, "request-1", "r1", 1)
    assert not site.privacy.exists()


def test_too_few_patients_with_budget_are_refused(site: Home) -> None:
    reserve(site)
    costly = ROUND.model_copy(update={"steps": 16})
    new: dict[str, tuple[str, ...]] = {f"new-{number}": () for number in range(3)}
    ledger = PrivacyLedger(site)
    with pytest.raises(PolicyRefused, match="3 of 43 training patients"):
        ledger.reserve(POLICY, costly, FORTY | new, "request-2", "r1", 2, least=4)
    assert len(ledger.cohorts()) == 1
    assert ledger.require(POLICY, costly, FORTY | new, least=3) == new.keys()


def test_another_unit_does_not_add_up(site: Home) -> None:
    """What protects the rows of a patient says little about the patient."""
    by_row = POLICY.model_copy(update={"unit": "row"})
    new: dict[str, tuple[str, ...]] = {"new": ()}
    for first, second in ((POLICY, by_row), (by_row, POLICY)):
        ledger = PrivacyLedger(site)
        patients = {f"{first.unit}-1": (), f"{first.unit}-2": ()}
        ledger.reserve(first, ROUND, patients, f"request-{first.unit}", "r1", 1)
        with pytest.raises(PolicyRefused, match=r"policy\.dp\.unit = .*another unit"):
            ledger.require(second, ROUND, patients)
        assert ledger.require(first, ROUND, patients) == patients.keys()
        assert ledger.require(second, ROUND, patients | new) == {"new"}


def lose_audit_log(home: Home) -> None:
    """Damage the audit log, and begin a new one as `ecgfl audit restart` does."""
    remove(home.audit)
    home.models.mkdir(exist_ok=True)
    (home.models / "v1").touch()  # so that a log must have existed
    restart_audit_log(home)


def restart_audit_log(home: Home) -> None:
    AuditLog(home.audit).restart("test", ledger=PrivacyLedger(home).carried_over())


@pytest.mark.parametrize("change", [remove, shorten, edit])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_changed_ledger_is_refused_after_a_restart_of_the_audit_log(
    site: Home, change: Callable[[Path], None], is_first: bool
) -> None:
    """Whether the ledger was changed before or after the audit log was lost."""
    reserve(site)
    reserve(site, number=2)
    if is_first:
        change(site.privacy)
    lose_audit_log(site)
    if not is_first:
        change(site.privacy)
    for _ in range(2):
        with pytest.raises(UnusableInput, match=r"privacy\.jsonl.*ecgfl privacy --restart"):
            reserve(site, number=3)


def test_a_damaged_audit_log_still_names_the_newest_ledger(site: Home) -> None:
    reserve(site)
    older = {path: path.read_bytes() for path in site.root.glob("privacy.*")}
    reserve(site, number=2)
    lines = site.audit.read_bytes().splitlines(keepends=True)
    site.audit.write_bytes(b"".join([b"damage\n", *lines[1:]]))
    restart_audit_log(site)
    newest = {path: path.read_bytes() for path in older}
    for path, content in older.items():
        path.write_bytes(content)
    with pytest.raises(UnusableInput, match="the audit log names a ledger of 3 lines"):
        reserve(site, number=3)
    for path, content in newest.items():  # as the message says
        path.write_bytes(content)
    assert reserve(site, number=3) == FORTY.keys()


def test_a_whole_ledger_stays_after_a_restart_of_the_audit_log(site: Home) -> None:
    reserve(site)
    lose_audit_log(site)
    reserve(site, number=2)
    (cohort,) = PrivacyLedger(site).cohorts()
    assert len(cohort.reservations) == 2


def test_an_older_audit_log_beside_the_newest_ledger_loses_nothing(site: Home) -> None:
    reserve(site)
    older = {path: path.read_bytes() for path in site.root.glob("audit.*")}
    reserve(site, number=2)
    for path, content in older.items():
        path.write_bytes(content)
    reserve(site, number=3)
    (cohort,) = PrivacyLedger(site).cohorts()
    assert [item.line.round for item in cohort.reservations] == [1, 2, 3]


def test_a_ledger_older_than_an_older_audit_log_is_refused(site: Home) -> None:
    reserve(site)
    oldest = {path: path.read_bytes() for path in site.root.glob("privacy.*")}
    reserve(site, number=2)
    older = {path: path.read_bytes() for path in site.root.glob("audit.*")}
    reserve(site, number=3)
    for path, content in (oldest | older).items():
        path.write_bytes(content)
    with pytest.raises(UnusableInput, match="the audit log names a ledger of 3 lines"):
        reserve(site, number=4)


@pytest.mark.parametrize("change", [remove, shorten, edit])
def test_a_new_ledger_has_no_budget_for_the_patients_of_the_old_one(
    site: Home, change: Callable[[Path], None]
) -> None:
    reserve(site)
    reserve(site, {"removed-from-the-store": ()}, number=2)
    change(site.privacy)
    kept, patients = PrivacyLedger(site).restart("the disk failed", [*FORTY, "held-out"])
    assert (kept is None) == (change is remove)
    assert patients == (41 if change is remove else 42)
    new: dict[str, tuple[str, ...]] = {f"new-{number}": () for number in range(3)}
    assert reserve(site, FORTY | {"held-out": ()} | new, number=3) == new.keys()
    lost, formed = PrivacyLedger(site).cohorts()
    assert lost.is_exhausted
    assert lost.spent("patient", POLICY.delta) == float("inf")
    assert formed.patients == new.keys()
    assert len(formed.reservations) == 1
    events = [entry["event"] for entry in AuditLog(site.audit).entries()]
    assert events[-3:] == ["privacy-lost", "privacy-restarted", "privacy-reserved"]


def test_the_old_ledger_is_refused_beside_a_new_one(site: Home) -> None:
    reserve(site)
    older = {path: path.read_bytes() for path in site.root.glob("privacy.*")}
    remove(site.privacy)
    PrivacyLedger(site).restart("test", FORTY)
    for path, content in older.items():
        path.write_bytes(content)
    with pytest.raises(UnusableInput, match="the audit log names a ledger of 2 lines"):
        reserve(site, number=2)


def test_a_whole_ledger_is_not_replaced(site: Home) -> None:
    reserve(site)
    with pytest.raises(UsageError, match="whole, nothing was changed"):
        PrivacyLedger(site).restart("test", FORTY)
    with pytest.raises(UsageError, match="reason"):
        PrivacyLedger(site).restart(" ", FORTY)


def test_patients_of_a_lost_home_have_no_budget_in_a_new_one(site: Home) -> None:
    """Before the first training, the ledger of a new home can be begun as if it was lost."""
    assert PrivacyLedger(site).restart("the old home is lost", FORTY) == (None, 40)
    with pytest.raises(PolicyRefused):
        reserve(site)
    with pytest.raises(UsageError, match="whole, nothing was changed"):
        PrivacyLedger(site).restart("again", FORTY)


def test_a_restart_with_another_secret_is_refused(site: Home) -> None:
    reserve(site)
    edit(site.privacy)
    site.secret.write_bytes(bytes(32))
    with pytest.raises(UnusableInput, match=str(site.secret)):
        PrivacyLedger(site).restart("test", FORTY)


def test_a_killed_restart_leaves_nobody_with_new_budget(
    site: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it has written, the next command refuses, and a second restart completes it."""
    reserve(site)
    edit(site.privacy)
    for number in range(3):
        with monkeypatch.context() as patched:
            written = itertools.count()

            def write(
                path: Path,
                data: bytes,
                mode: int,
                last: int = number,
                made: Iterator[int] = written,
            ) -> None:
                if next(made) == last:
                    raise KeyboardInterrupt
                atomic_write_bytes(path, data, mode=mode)

            for module in (audit, audit_check):
                patched.setattr(module, "atomic_write_bytes", write)
            with pytest.raises(KeyboardInterrupt):
                PrivacyLedger(site).restart("test", FORTY)
        with pytest.raises(UnusableInput, match="ecgfl privacy --restart"):
            reserve(site, number=2)
    PrivacyLedger(site).restart("test", FORTY)
    with pytest.raises(PolicyRefused):
        reserve(site, number=2)


def test_the_head_is_in_the_audit_log(site: Home) -> None:
    reserve(site)
    noted = AuditLog(site.audit).entries()[-1]
    last = json.loads(site.privacy.read_bytes().splitlines()[-1])
    assert (noted["event"], noted["lines"], noted["head"]) == (
        "privacy-reserved",
        last["line"],
        last["hash"],
    )


@pytest.mark.slow
def test_reserved_is_never_less_than_sent_after_kills(site: Home, tmp_path: Path) -> None:
    """`tests/benchmarks/privacy_kills.py` does this with 200 kills."""
    counts = kill_often(site, tmp_path / "sent", kills=25)
    assert faults_of(counts) == []
    assert len(counts.sent) > 10
