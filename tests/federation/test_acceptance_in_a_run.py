"""A site uses the final model of a run only if it passes the test on its held-out patients."""

import json
from pathlib import Path

import numpy as np
import pytest
from federation_homes import Homes
from node_processes import told
from test_site_distrusts_server import Server, sound_vector
from test_site_policy import under

from ecgfl_cli.commands import join
from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.federation.messages import VERDICTS, Content, EvaluateReply, read_reply
from ecgfl_cli.federation.site import local_work, promotion
from ecgfl_cli.federation.site.participant import FinalModel
from ecgfl_cli.federation.site.participation import Participation
from ecgfl_cli.models.calibration import counted
from ecgfl_cli.models.registry import WEIGHTS
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.training.acceptance import ByPatient, Verdict
from ecgfl_cli.training.local import Measured

VERSION = "ecgnet-0005-abcdef01"
STARTER = starter_registry().current()


@pytest.fixture
def server(homes: Homes) -> Server:
    """With a site that has the usual margin."""
    return under(homes, "acceptance_margin = 0.05\nmax_untrained_measurements = 100")


def final(server: Server, seed: int = 0, **changes: object) -> None:
    """The evaluate message of a last round, with weights that nobody trained."""
    vector = sound_vector(seed)
    signed = server.sign(server.manifest(vector, round=3, **changes))
    server.send(server.content("evaluate", vector, signed), "evaluate")


def patients(*found: int) -> ByPatient:
    """Patients with 1,000 beats and 100 PVCs each, of which so many are found, without errors."""
    others, pvcs = (counted(np.zeros(beats, np.float32)) for beats in (900, 100))
    return {
        f"p{number}": Measured(1000, 100, each, 0, 0.1, others, pvcs)
        for number, each in enumerate(found)
    }


def audited(homes: Homes, event: str) -> list[dict[str, object]]:
    lines = map(json.loads, homes.site("alice").audit.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def test_worse_final_model_is_kept_as_rejected(
    server: Server,
) -> None:
    final(server)
    alice = server.homes.site("alice").root
    assert server.homes.registry("alice").current() is None, "the starter model stays"
    listed = told(alice, "model", "list").result
    assert listed["current"] == STARTER
    (acceptance,) = [each["acceptance"] for each in listed["models"] if each["version"] == VERSION]
    assert acceptance["accepted"] is False
    assert acceptance["against"] == STARTER
    assert acceptance["difference"] == pytest.approx(acceptance["f1"] - acceptance["against_f1"])
    assert acceptance["difference"] < -acceptance["margin"]
    assert acceptance["pvcs"] > 0
    shown = told(alice, "model", "show", VERSION).result
    assert shown["acceptance"] == acceptance
    (line,) = audited(server.homes, "model-rejected")
    assert (line["version"], line["acceptance"]) == (VERSION, acceptance)
    assert audited(server.homes, "model-promoted") == []
    assert told(alice, "model", "verify").code == 0


def test_a_person_may_use_a_rejected_model_and_go_back(server: Server) -> None:
    final(server)
    alice = server.homes.site("alice").root
    assert told(alice, "model", "use", VERSION).code == 0
    assert server.homes.registry("alice").current() == VERSION
    assert told(alice, "model", "rollback").result["version"] == STARTER
    assert server.homes.registry("alice").current() is None


def test_the_policys_margin_decides(homes: Homes) -> None:
    final(under(homes, "acceptance_margin = 1.0"))
    assert homes.registry("alice").current() == VERSION
    (line,) = audited(homes, "model-promoted")
    assert line["acceptance"]["margin"] == 1.0  # type: ignore[index]


def test_the_next_candidate_is_measured_against_the_one_in_use(server: Server) -> None:
    final(server)
    told(server.homes.site("alice").root, "model", "use", VERSION)
    final(server, 0, sequence=6, version="ecgnet-0006-abcdef01", threshold=0.5)
    (line,) = audited(server.homes, "model-promoted")[1:]
    assert line["acceptance"]["against"] == VERSION  # type: ignore[index]
    assert line["acceptance"]["difference"] == 0.0  # type: ignore[index]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, ByPatient]:
    """Figures of each version on the held-out patients; the starter model finds 180 of 200 PVCs."""
    found = {STARTER or "": patients(90, 90)}
    monkeypatch.setattr(
        promotion, "by_patient", lambda _network, manifest, _held_out: found[manifest.version]
    )
    monkeypatch.setattr(
        local_work, "by_patient", lambda _network, manifest, _held_out: found[manifest.version]
    )
    return found


def offered(
    server: Server, figures: dict[str, ByPatient], number: int, found: ByPatient
) -> dict[str, object]:
    """The acceptance of the next model, with these figures."""
    version = f"ecgnet-{number:04d}-abcdef01"
    figures[version] = found
    final(server, number, sequence=number, version=version)
    acceptance = server.homes.registry("alice").entry(version).acceptance
    assert acceptance is not None
    return acceptance


def test_margins_do_not_add_up(server: Server, figures: dict[str, ByPatient]) -> None:
    """Each is a little worse than the one before, within the margin and not significantly."""
    worse = [offered(server, figures, 5 + step, patients(93 - 12 * step, 90)) for step in range(4)]
    assert [each["accepted"] for each in worse] == [True, True, False, False]
    assert [each["against"] for each in worse] == [STARTER, *["ecgnet-0005-abcdef01"] * 3]
    assert server.homes.registry("alice").current() == "ecgnet-0006-abcdef01"
    assert server.homes.registry("alice").best() == "ecgnet-0005-abcdef01"


def test_the_best_model_is_kept_and_measured_again(
    server: Server, figures: dict[str, ByPatient]
) -> None:
    best = "ecgnet-0005-abcdef01"
    offered(server, figures, 5, patients(95, 95))
    for number in range(6, 20):
        assert offered(server, figures, number, patients(96, 92))["against"] == best
    assert best in server.homes.registry("alice").versions()
    assert "ecgnet-0006-abcdef01" not in server.homes.registry("alice").versions()
    figures[best] = patients(50, 50)  # today's held-out patients say something else
    assert offered(server, figures, 20, patients(60, 55))["accepted"]
    assert server.homes.registry("alice").best() == "ecgnet-0020-abcdef01"


def test_significantly_worse_model_is_rejected_and_reported(
    server: Server, figures: dict[str, ByPatient]
) -> None:
    figures[VERSION] = patients(88, 88)
    vector = sound_vector()
    content = server.content("evaluate", vector, server.sign(server.manifest(vector, round=3)))
    release = server.send(content, "evaluate")
    answer = read_reply(Content(figures=release.figures), EvaluateReply)
    assert VERDICTS[answer.verdict or 0] == "interval-below-zero"
    (line,) = audited(server.homes, "model-rejected")
    assert -0.05 < line["acceptance"]["difference"] < 0  # type: ignore[index]
    assert "the whole interval lies below zero" in str(line["acceptance"])


def test_the_policy_keeps_the_verdict(homes: Homes) -> None:
    server = under(homes, 'acceptance_margin = 0.05\nmetrics = ["loss"]')
    vector = sound_vector()
    content = server.content("evaluate", vector, server.sign(server.manifest(vector, round=3)))
    release = server.leaves(content, "evaluate")
    assert set(release.figures) == {"num-examples", "loss"}


def test_a_model_that_is_not_its_runs_last_is_not_tested(server: Server) -> None:
    server.send(server.content("evaluate"), "evaluate")
    assert server.homes.registry("alice").entry(VERSION).acceptance is None
    assert audited(server.homes, "model-rejected") == audited(server.homes, "model-promoted") == []


def test_a_damaged_current_model_is_repaired_before_the_next_one(server: Server) -> None:
    final(server)
    alice = server.homes.site("alice")
    told(alice.root, "model", "use", VERSION)
    (alice.models / VERSION / WEIGHTS).write_bytes(b"")
    with pytest.raises(ModelRejected, match="ecgfl model repair"):
        final(server, 1, sequence=6, version="ecgnet-0006-abcdef01")
    assert server.homes.registry("alice").current() == VERSION
    assert told(alice.root, "model", "repair").code == 0
    final(server, 1, sequence=6, version="ecgnet-0006-abcdef01")
    assert server.homes.registry("alice").entry("ecgnet-0006-abcdef01").acceptance is not None


def exported(server: Server, folder: Path, **changes: object) -> Path:
    """A signed model of untrained weights as a file."""
    from safetensors.torch import save

    from ecgfl_cli.models.architecture import architecture
    from ecgfl_cli.models.model_file import KEY
    from ecgfl_cli.models.packing import unpack

    network = architecture("ecgnet").build()
    unpack(network, sound_vector())
    signed = server.sign(server.manifest(sound_vector(), **{"round": 3, **changes}))
    path = folder / "model.ecgfl"
    path.write_bytes(save(network.state_dict(), metadata={KEY: signed.model_dump_json()}))
    return path


def test_a_file_is_tested_as_the_coordinators_models_are(server: Server, tmp_path: Path) -> None:
    ended = told(
        server.homes.site("alice").root, "model", "import", str(exported(server, tmp_path))
    )
    assert ended.code == 7
    assert ended.result["acceptance"]["accepted"] is False
    assert ended.result["acceptance"]["against"] == STARTER
    assert "model use" in ended.errors[0]
    assert server.homes.registry("alice").entry(VERSION).is_rejected
    assert server.homes.registry("alice").current() is None


def test_an_old_model_in_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    final(server)
    old = exported(server, tmp_path, sequence=4, version="ecgnet-0004-00000000")
    assert "old" in told(server.homes.site("alice").root, "model", "import", str(old)).refused(5)


def test_an_unfinished_runs_model_in_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    path = exported(server, tmp_path, round=2)
    assert "round 2 of 3" in told(
        server.homes.site("alice").root, "model", "import", str(path)
    ).refused(7)
    assert server.homes.registry("alice").entries() == []


def test_signed_weights_of_another_file_are_refused(server: Server, tmp_path: Path) -> None:
    path = exported(server, tmp_path, weights_sha256="0" * 64)
    assert "SHA-256" in told(server.homes.site("alice").root, "model", "import", str(path)).refused(
        7
    )


def test_weights_that_are_not_finite_are_refused_in_a_file_too(
    server: Server, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load, save

    from ecgfl_cli.models.manifest import weights_sha256
    from ecgfl_cli.models.model_file import KEY

    path = exported(server, tmp_path)
    tensors = load(path.read_bytes())
    vector = sound_vector()
    vector[0] = np.nan
    name = next(
        name
        for name, tensor in tensors.items()
        if torch.equal(tensor.flatten()[:1], torch.from_numpy(sound_vector()[:1]))
    )
    tensors[name].view(-1)[0] = float("nan")
    signed = server.sign(server.manifest(vector, round=3, weights_sha256=weights_sha256(vector)))
    path.write_bytes(save(tensors, metadata={KEY: signed.model_dump_json()}))
    assert "finite" in told(server.homes.site("alice").root, "model", "import", str(path)).refused(
        7
    )


def test_join_exits_with_7_and_the_reason_of_a_rejection(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(
        False, "F1 0.500 against 0.900 of old", "old", 0.05, 3, 40, 0.5, 0.9, -0.4, (-0.5, -0.3)
    )
    outcome = Participation(True, "r1", 3, FinalModel(VERSION, verdict))
    monkeypatch.setattr(join, "participate", lambda *_: outcome)
    ended = told(homes.site("alice").root, "join", "--server", "localhost:1", "--once")
    assert (ended.code, ended.result["status"]) == (7, "error")
    assert (ended.result["participated"], ended.result["rounds"], ended.result["version"]) == (
        True,
        3,
        VERSION,
    )
    assert ended.result["acceptance"]["interval"] == [-0.5, -0.3]
    assert "F1 0.500 against 0.900 of old" in ended.errors[0]
    assert f"ecgfl model use {VERSION}" in ended.errors[0]
