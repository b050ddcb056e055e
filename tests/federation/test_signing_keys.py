"""Sites follow the coordinator's signing keys through root metadata, without a new file."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from federation_homes import Homes, change_policy
from node_processes import Processes, told

from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.coordinator.identity import signing_keys
from ecgfl_cli.federation.coordinator.identity.signing_keys import coordinator_registry
from ecgfl_cli.models.manifest import SignedManifest, public_key_text
from ecgfl_cli.models.model_file import model_file
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.trust import read_roots
from ecgfl_cli.times import current_time

Ecgfl = Callable[..., Any]


class Pair(NamedTuple):
    """A coordinator with one model, and a site that keeps one model and has received none."""

    coordinator: CoordinatorHome
    site: Path
    ecgfl: Ecgfl

    def admin(self, *arguments: object) -> Any:
        """Run `ecgfl coordinator ...`."""
        return self.ecgfl("--home", self.coordinator.root.parent, "coordinator", *arguments)

    def key(self) -> str:
        """The present signing key."""
        return public_key_text(load_signing_key(self.coordinator).public_key())

    def next_model(self) -> str:
        """Sign one more final model, and return its version."""
        registry = coordinator_registry(self.coordinator)
        last = registry.entries()[-1]
        sequence = last.manifest.sequence + 1
        _, network = registry.load(last.manifest.version)
        manifest = last.manifest.model_copy(
            update={
                "version": f"ecgnet-{sequence:04d}-00000000",
                "sequence": sequence,
                "run": f"run-{sequence}",
                "parent": last.manifest.version,
                "parent_manifest": last.signed.sha256,
            }
        )
        signed = SignedManifest.sign(manifest, load_signing_key(self.coordinator))
        registry.add(signed, network, "a test")
        registry.promote(manifest.version)
        return manifest.version

    def exported(self, name: str = "model") -> Path:
        """A file with the newest model."""
        path = self.site.parent / f"{name}.ecgfl"
        ran = self.ecgfl("--home", self.coordinator.root.parent, "model", "export", path, "--force")
        assert ran.code == 0, ran.err
        return path

    def takes(self, path: Path) -> None:
        ran = self.ecgfl("model", "import", path)
        assert ran.code == 0, ran.err

    def refuses(self, path: Path) -> str:
        ran = self.ecgfl("model", "import", path)
        assert ran.code == 7
        assert len(ran.problems) == 1
        return str(ran.problems[0])


@pytest.fixture
def pair(home: Path, tmp_path: Path, federation: Any, ecgfl: Ecgfl) -> Pair:
    coordinator = CoordinatorHome(tmp_path / "c" / "coordinator")
    shutil.copytree(federation.root, coordinator.root)
    init = ("init", "--site", "st-mary", "--federation", coordinator.federation)
    assert ecgfl(*init).code == 0
    text = (home / "site.toml").read_text()
    text = text.replace('architectures = ["beatnet"]', 'architectures = ["beatnet", "ecgnet"]')
    (home / "site.toml").write_text(text.replace("\nkeep = 10", "\nkeep = 1"))
    return Pair(coordinator, home, ecgfl)


def test_two_rotations_need_no_new_file(pair: Pair) -> None:
    given = pair.coordinator.federation.read_bytes()
    versions, keys = [], [pair.key()]
    pair.takes(pair.exported())
    for _ in range(2):
        assert pair.admin("rotate").code == 0
        keys.append(pair.key())
        for _ in range(2):
            versions.append(pair.next_model())
            pair.takes(pair.exported())
    assert len(set(keys)) == 3
    assert (pair.site / "federation.json").read_bytes() == given
    ran = pair.ecgfl("--json", "model", "verify")
    assert ran.code == 0, ran.err
    assert ran.json["lineage"][:-1] == versions[::-1]
    assert ran.json["missing_parent"] is None
    assert (pair.site / "models" / "pruned.jsonl").is_file()
    assert pair.admin("model", "list").code == 0
    assert pair.ecgfl("audit", "verify").code == 0
    shown = pair.ecgfl("--json", "audit", "show", "--event", "signing-keys-changed").json
    assert [entry["keys"] for entry in shown["entries"]] == [[key] for key in keys]


def test_a_retired_key_signs_nothing_new(pair: Pair) -> None:
    pair.takes(pair.exported())
    pair.next_model()
    before = pair.exported("before")
    assert pair.admin("rotate").code == 0
    pair.next_model()
    pair.takes(pair.exported())
    assert "not that of a valid signing key" in pair.refuses(before)
    assert pair.ecgfl("model", "verify").code == 0, "what the retired key signed stays valid"


def test_a_withdrawn_key_is_refused(pair: Pair, export: Callable[..., Path]) -> None:
    pair.takes(pair.exported())
    stolen = load_signing_key(pair.coordinator)
    key = pair.key()
    ran = pair.admin("withdraw", key)
    assert ran.code == 0, ran.err
    assert pair.key() != key
    made = coordinator_registry(pair.coordinator)
    (last,) = made.entries()
    forged = last.manifest.model_copy(update={"version": "ecgnet-0002-ffffffff", "sequence": 2})
    thief = Registry(pair.site.parent / "thief", stolen.public_key())
    signed = SignedManifest.sign(forged, stolen)
    thief.add(signed, made.load(last.manifest.version)[1], "a thief")
    path = pair.site.parent / "forged.ecgfl"
    roots = read_roots(pair.coordinator.roots, "-")
    path.write_bytes(model_file(thief, forged.version, roots))
    assert "not that of a valid signing key" in pair.refuses(path)
    predict = ("predict", export(1, seconds=20), "--out", pair.site.parent / "out")
    ran = pair.ecgfl(*predict)
    assert ran.code == 7, "the model that the site has was signed with the withdrawn key"
    assert "model repair" in ran.problems[0]
    pair.takes(pair.exported())
    assert pair.ecgfl(*predict).code == 0
    assert pair.ecgfl("model", "verify").code == 0
    assert "not a valid or retired signing key" in pair.admin("withdraw", key).problems[0]


def test_repair_moves_a_model_of_a_withdrawn_key_away(
    pair: Pair, export: Callable[..., Path]
) -> None:
    pair.takes(pair.exported())
    version = pair.next_model()
    pair.takes(pair.exported())
    old = pair.key()
    assert pair.admin("rotate").code == 0
    assert pair.admin("withdraw", old).code == 0, "a retired key can be withdrawn, too"
    pair.next_model()
    pair.takes(pair.exported())
    assert pair.ecgfl("model", "verify").code == 7
    assert version in pair.ecgfl("--json", "model", "repair").json["moved"]
    assert pair.ecgfl("model", "verify").code == 0
    assert pair.ecgfl("predict", export(1, seconds=20), "--out", pair.site / "out").code == 0


def test_an_expired_root_is_one_clear_error(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        before = current_time() - timedelta(days=366)
        patched.setattr(signing_keys, "current_time", lambda: before)
        assert pair.admin("root").code == 0
    reason = pair.refuses(pair.exported())
    assert "root metadata of the federation, version 2, expired on" in reason
    assert "`ecgfl coordinator root`" in reason
    assert not (pair.site / "models").exists()
    ran = pair.admin("serve", "--port", "0")
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert "`ecgfl coordinator root`" in ran.problems[0]
    assert pair.admin("root").code == 0
    pair.takes(pair.exported())
    assert pair.ecgfl("model", "verify").code == 0


def test_the_root_key_can_be_kept_elsewhere(pair: Pair, tmp_path: Path) -> None:
    stick = tmp_path / "stick.key"
    pair.coordinator.root_key.rename(stick)
    for command in ("rotate", "root", ("withdraw", pair.key())):
        ran = pair.admin(*([command] if isinstance(command, str) else command))
        assert ran.code == 3
        assert "--root-key FILE" in ran.problems[0]
    assert not pair.coordinator.new_signing_key.exists()
    assert pair.admin("rotate", "--root-key", stick).code == 0
    pair.takes(pair.exported())


def test_as_many_root_keys_as_the_threshold_must_sign(pair: Pair, tmp_path: Path) -> None:
    second = tmp_path / "second.key"
    made = pair.admin("--json", "root", "--new-root-key", second, "--threshold", "2")
    assert made.code == 0, made.err
    assert (made.json["threshold"], len(made.json["root_keys"])) == (2, 2)
    assert pair.admin("root", "--threshold", "3").code in (2, 3)
    ran = pair.admin("rotate")
    assert ran.code == 3
    assert "1 of the given keys are root keys" in ran.problems[0]
    both = ("--root-key", pair.coordinator.root_key, "--root-key", second)
    assert pair.admin("rotate", *both).code == 0
    first, _ = made.json["root_keys"]
    ran = pair.admin("root", *both, "--threshold", "1", "--drop-root-key", first)
    assert ran.code == 0, ran.err
    assert pair.admin("rotate").code == 3, "root.key is no root key now"
    assert pair.admin("rotate", "--root-key", second).code == 0
    pair.takes(pair.exported())


@pytest.mark.parametrize("known", [True, False])
def test_a_root_that_is_not_signed_by_the_root_keys_is_refused(pair: Pair, known: bool) -> None:
    if known:
        pair.takes(pair.exported())
    (first,) = read_roots(pair.coordinator.roots, "-")
    forged = json.loads(first)
    forged["signed"]["version"] = 2
    pair.coordinator.roots.write_text(json.dumps([first, json.dumps(forged)]))
    registry = Registry(pair.coordinator.models, load_signing_key(pair.coordinator).public_key())
    path = pair.site.parent / "forged.ecgfl"
    roots = read_roots(pair.coordinator.roots, "-")
    path.write_bytes(model_file(registry, registry.versions()[0], roots))
    assert "not signed by enough root keys" in pair.refuses(path)
    stored = read_roots(pair.site / "roots.json", "-")
    assert stored == ([first] if known else [])


def test_a_thief_of_the_signing_key_cannot_replace_the_root(pair: Pair) -> None:
    pair.takes(pair.exported())
    before = (pair.site / "roots.json").read_bytes()
    pair.coordinator.roots.unlink()
    pair.coordinator.root_key.unlink()
    assert pair.admin("root").code == 0
    assert "another one than this site knows" in pair.refuses(pair.exported())
    assert (pair.site / "roots.json").read_bytes() == before


def test_lost_root_metadata_at_a_site_comes_again(pair: Pair, export: Callable[..., Path]) -> None:
    assert pair.admin("rotate").code == 0
    pair.takes(pair.exported())
    roots = pair.site / "roots.json"
    whole = roots.read_text()
    predict = ("predict", export(1, seconds=20), "--out", pair.site / "out", "--force")
    for content in (
        None,
        json.dumps(json.loads(whole)[:1]),
        whole[:-2],
        "[]",
        whole.replace("version", "Version", 1),
    ):
        roots.unlink() if content is None else roots.write_text(content)
        ran = pair.ecgfl(*predict)
        assert ran.code == 7
        assert "ecgfl model import FILE" in ran.problems[0]
        roots.unlink(missing_ok=True)
        pair.takes(pair.exported())
        assert roots.read_text() == whole
        assert pair.ecgfl(*predict).code == 0


@pytest.mark.parametrize("command", ["rotate", "withdraw"])
@pytest.mark.parametrize(
    "step", [(Registry, "sign_again"), (signing_keys, "_publish"), (Path, "replace")]
)
def test_an_interrupted_change_is_completed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, command: str, step: tuple[object, str]
) -> None:
    """Kill it before the models are signed again, before the root is published, and after."""
    old = pair.key()
    arguments = (command,) if command == "rotate" else (command, old)
    replace = Path.replace

    def killed(path: object, *others: Any) -> Any:
        if step[1] == "replace" and path != pair.coordinator.new_signing_key:
            return replace(path, *others)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*step, killed)
        assert pair.admin(*arguments).code == 130
    assert pair.coordinator.new_signing_key.exists()
    ran = pair.admin("serve", "--port", "0")
    assert ran.code == 3
    assert "ecgfl coordinator rotate" in ran.problems[0]
    assert pair.admin(*arguments).code == 0
    assert not pair.coordinator.new_signing_key.exists()
    assert pair.key() != old
    assert pair.admin("model", "list").code == 0
    pair.takes(pair.exported())
    assert pair.ecgfl("model", "verify").code == 0


def test_a_coordinator_of_an_earlier_version_gets_a_root(pair: Pair) -> None:
    pair.coordinator.roots.unlink()
    pair.coordinator.root_key.unlink()
    pair.takes(pair.exported())
    assert not (pair.site / "roots.json").exists()
    assert pair.admin("rotate").code == 0
    pair.next_model()
    pair.takes(pair.exported())
    assert len(json.loads((pair.site / "roots.json").read_text())) == 2
    assert pair.ecgfl("model", "verify").code == 0


def test_a_lost_signing_key_is_replaced_with_the_root_key(pair: Pair) -> None:
    pair.takes(pair.exported())
    pair.coordinator.signing_key.unlink()
    ran = pair.admin("model", "list")
    assert ran.code == 3
    assert "`ecgfl coordinator rotate`" in ran.problems[0]
    assert pair.admin("rotate").code == 0
    version = pair.next_model()
    pair.takes(pair.exported())
    assert pair.ecgfl("--json", "model", "verify").json["lineage"][0] == version


def test_root_metadata_of_another_federation_is_forgotten(
    pair: Pair, export: Callable[..., Path], tmp_path: Path
) -> None:
    assert pair.admin("rotate").code == 0
    pair.takes(pair.exported())
    other = tmp_path / "other"
    assert pair.ecgfl("--home", other, "coordinator", "init", "--name", "localhost").code == 0
    (pair.site / "federation.json").unlink()
    federation = other / "coordinator" / "federation.json"
    assert pair.ecgfl("init", "--site", "st-mary", "--federation", federation).code == 0
    assert not (pair.site / "roots.json").exists()
    assert pair.ecgfl("model", "verify").code == 0
    assert pair.ecgfl("predict", export(1, seconds=20), "--out", tmp_path / "out").code == 0
    assert pair.refuses(pair.exported())


@pytest.mark.slow
def test_sites_follow_rotations_through_requests(
    copied: Callable[[str], Homes], processes: Processes
) -> None:
    homes = copied("rotations")
    names = ("alice", "bob")
    for name in names:
        change_policy(homes.site(name), keep="1")

    def run() -> None:
        server, port = processes.serve(homes.coordinator, "--rounds", "1")
        for join in [processes.join(homes.site(name).root, port) for name in names]:
            assert join.finish().code == 0
        served = server.finish()
        assert served.code == 0, served.said

    run()
    for _ in range(2):
        assert told(homes.coordinator, "coordinator", "rotate").code == 0
        run()
    for name in names:
        verified = told(homes.site(name).root, "model", "verify")
        assert verified.code == 0, verified.said
        assert (verified.result["missing_parent"], len(verified.result["lineage"])) == (None, 7)

    key = public_key_text(load_signing_key(homes.coordinator_home).public_key())
    assert told(homes.coordinator, "coordinator", "withdraw", key).code == 0
    run()
    for name in names:
        home = homes.site(name).root
        assert told(home, "model", "show").code == 0, "the new model is in use"
        assert told(home, "model", "repair").code == 0
        verified = told(home, "model", "verify")
        assert verified.code == 0, verified.said
        assert len(verified.result["lineage"]) == 9
