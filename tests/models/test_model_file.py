"""A version is exported as one file; any other file is refused with exit code 7."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.models import model_file
from ecgfl_cli.models.manifest import SignedManifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.starter import starter_registry

Ecgfl = Callable[..., Any]
ABOUT = model_file.KEY


@pytest.fixture
def exported(federation, ecgfl: Ecgfl, tmp_path: Path) -> Path:
    """Of the coordinator's only model, written in the coordinator's home."""
    path = tmp_path / "model.ecgfl"
    ran = ecgfl("--home", federation.root.parent, "model", "export", path)
    assert ran.code == 0, ran.err
    return path


@pytest.fixture
def member(home: Path, ecgfl: Ecgfl, federation) -> Path:
    """The home of a site of that federation, which has received nothing."""
    assert (
        ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json").code
        == 0
    )
    text = (home / "site.toml").read_text()
    (home / "site.toml").write_text(
        text.replace('architectures = ["beatnet"]', 'architectures = ["beatnet", "ecgnet"]')
    )
    return home


def test_a_site_without_a_line_out_takes_the_model_from_a_file(
    member: Path, exported: Path, ecgfl: Ecgfl, federation, files_of
) -> None:
    ran = ecgfl("--json", "model", "import", exported)
    assert ran.code == 0, ran.err
    assert ran.json["version"] == federation.version
    assert ran.json["acceptance"]["accepted"] is True
    assert "untested" in ran.json["acceptance"]["reason"], "there are no recordings in this home"
    listed = ecgfl("--json", "model", "list").json
    assert listed["current"] == federation.version
    assert listed["models"][-1]["acceptance"]["accepted"] is True
    assert ecgfl("model", "verify").code == 0
    ours, theirs = (
        files_of(member / "models" / federation.version),
        files_of(federation.root / "models" / federation.version),
    )
    assert ours["model.safetensors"] == theirs["model.safetensors"]
    events = [entry["event"] for entry in ecgfl("--json", "audit", "show").json["entries"]]
    assert events[-2:] == ["model-received", "model-promoted"]


def test_the_same_version_gives_the_same_bytes_at_every_site(
    modelled: Path,  # noqa: ARG001
    exported: Path,
    ecgfl: Ecgfl,
    tmp_path: Path,
) -> None:
    again = tmp_path / "again.ecgfl"
    ran = ecgfl("--json", "model", "export", again)
    assert ran.code == 0
    assert again.read_bytes() == exported.read_bytes()
    assert ran.json["bytes"] == len(exported.read_bytes())


def test_the_file_is_safetensors_that_any_reader_opens(exported: Path) -> None:
    from safetensors import safe_open

    with safe_open(exported, "pt") as file:
        assert set(json.loads(file.metadata()[ABOUT])) == {"manifest", "signature"}
        assert len(list(file.keys())) == 6


def test_a_file_that_is_there_is_replaced_only_when_told_so(
    modelled: Path,  # noqa: ARG001
    exported: Path,
    ecgfl: Ecgfl,
) -> None:
    assert ecgfl("model", "export", exported).code == 2
    assert ecgfl("model", "export", exported, "--force").code == 0


def test_the_starter_model_is_no_federations_to_hand_on(
    member: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
) -> None:
    assert ecgfl("model", "export", tmp_path / "x").code == 2
    assert (
        ecgfl("model", "export", tmp_path / "x", "--model", starter_registry().current()).code == 2
    )
    assert not (tmp_path / "x").exists()


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header: Any, rest: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def about(data: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    header, rest = header_of(data)
    content = json.loads(header["__metadata__"][ABOUT])
    edit(content)
    header["__metadata__"][ABOUT] = json.dumps(content)
    return with_header(header, rest)


def renamed_tensor(data: bytes) -> bytes:
    header, rest = header_of(data)
    header["../../evil"] = header.pop("1.weight")
    return with_header(header, rest)


def wide_tensor(data: bytes) -> bytes:
    """A shape for which memory would be set aside."""
    header, rest = header_of(data)
    header["1.weight"]["shape"] = [2**40, 2**20]
    return with_header(header, rest)


def far_tensor(data: bytes) -> bytes:
    header, rest = header_of(data)
    header["1.weight"]["data_offsets"] = [0, 2**50]
    return with_header(header, rest)


def signed_by_the_starter(_: bytes) -> bytes:
    from safetensors.torch import save

    registry = starter_registry()
    version = registry.current()
    signed = registry.entry(version).signed.model_dump()
    return save(registry.load(version)[1].state_dict(), metadata={ABOUT: json.dumps(signed)})


def pickled(_: bytes) -> bytes:
    import pickle

    return pickle.dumps({"weight": [1.0]})


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "seven-bytes": lambda data: data[:7],
    "cut-header": lambda data: data[:100],
    "cut-weights": lambda data: data[:-4],
    "more-weights": lambda data: data + b"\0\0\0\0",
    "flipped-weight": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "endless-header": lambda data: (2**63).to_bytes(8, "little") + data[8:],
    "no-header": lambda data: bytes(8) + data[8:],
    "header-no-json": lambda data: with_header(b"{" * 100, header_of(data)[1]),
    "header-deep": lambda data: with_header(b"[" * 500_000 + b"]" * 500_000, header_of(data)[1]),
    "header-a-list": lambda data: with_header([], header_of(data)[1]),
    "no-metadata": lambda data: with_header(
        {k: v for k, v in header_of(data)[0].items() if k[0] != "_"}, header_of(data)[1]
    ),
    "metadata-a-list": lambda data: with_header(
        header_of(data)[0] | {"__metadata__": []}, header_of(data)[1]
    ),
    "metadata-a-number": lambda data: with_header(
        header_of(data)[0] | {"__metadata__": {ABOUT: 3}}, header_of(data)[1]
    ),
    "another-threshold": lambda data: about(
        data, lambda c: c.update(manifest=c["manifest"].replace("0.5", "0.1"))
    ),
    "another-name": lambda data: about(
        data, lambda c: c.update(manifest=c["manifest"].replace("ecgnet-", "../ecgnet-"))
    ),
    "no-signature": lambda data: about(data, lambda c: c.pop("signature")),
    "empty-signature": lambda data: about(data, lambda c: c.update(signature="")),
    "a-field-more": lambda data: about(data, lambda c: c.update(code="import os")),
    "renamed-tensor": renamed_tensor,
    "wide-tensor": wide_tensor,
    "far-tensor": far_tensor,
    "another-federation": signed_by_the_starter,
    "pickle": pickled,
    "zip": lambda _: b"PK\x03\x04" + bytes(100),
    "huge": lambda data: data + bytes(model_file.LARGEST_FILE),
}


WRITTEN = ("audit.jsonl", "audit.head", "lock", "roots.json")
"""Files that a refused import may change: the root metadata in the file is right, and is kept."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_a_signed_model_is_refused(
    member: Path, exported: Path, ecgfl: Ecgfl, files_of, name: str
) -> None:
    exported.write_bytes(HOSTILE[name](exported.read_bytes()))
    before = {path: data for path, data in files_of(member).items() if path not in WRITTEN}
    ran = ecgfl("model", "import", exported)
    assert ran.code == 7, ran.err
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert len(ran.problems[0]) < 1000
    after = {path: data for path, data in files_of(member).items() if path not in WRITTEN}
    assert after == before
    assert ecgfl("--json", "audit", "show").json["entries"][-1]["event"] == "refused"


def test_a_file_that_is_not_there_is_unusable_input(
    member: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
) -> None:
    ran = ecgfl("model", "import", tmp_path / "nothing.ecgfl")
    assert ran.code == 3
    assert "nothing.ecgfl" in ran.problems[0]


def test_a_site_without_a_federation_imports_nothing(
    site: Path,  # noqa: ARG001
    exported: Path,
    ecgfl: Ecgfl,
) -> None:
    ran = ecgfl("model", "import", exported)
    assert ran.code == 2
    assert "federation.json" in ran.problems[0]


def test_an_architecture_outside_the_policy_is_refused_by_policy(
    member: Path, exported: Path, ecgfl: Ecgfl
) -> None:
    (member / "site.toml").write_text(
        '[site]\nname = "st-mary"\n[policy]\narchitectures = ["beatnet"]\n'
    )
    ran = ecgfl("model", "import", exported)
    assert ran.code == 5
    assert "ecgnet" in ran.problems[0]


def again_signed(federation, tmp_path: Path, **changes: object) -> Path:
    """Write a model file whose manifest the coordinator has signed again with other values."""
    key = load_signing_key(CoordinatorHome(federation.root))
    manifest, network = Registry(federation.root / "models", key.public_key()).load(
        federation.version
    )
    registry = Registry(tmp_path / "signed", key.public_key())
    registry.add(SignedManifest.sign(manifest.model_copy(update=changes), key), network, "a test")
    path = tmp_path / "signed.ecgfl"
    path.write_bytes(model_file.model_file(registry, federation.version))
    return path


EXPIRED = {"created": "2020-01-01T00:00:00+00:00", "expires": "2020-12-31T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("changes", "said"), [(EXPIRED, "expired on 2020-12-31"), ({"expires": None}, "has no expiry")]
)
def test_an_expired_model_is_no_news(
    member: Path, ecgfl: Ecgfl, federation, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    ran = ecgfl("model", "import", again_signed(federation, tmp_path, **changes))
    assert ran.code == 7
    assert said in ran.problems[0]
    assert "ecgfl coordinator model rollback" in ran.problems[0]
    assert not (member / "models" / federation.version).exists()
    assert ecgfl("--json", "audit", "show").json["entries"][-1]["event"] == "refused"


def test_an_expired_model_that_is_here_stays_in_use(
    member: Path, ecgfl: Ecgfl, federation, tmp_path: Path
) -> None:
    path = again_signed(federation, tmp_path, **EXPIRED)
    shutil.copytree(
        tmp_path / "signed" / federation.version, member / "models" / federation.version
    )
    assert ecgfl("model", "import", path).code == 0
    assert ecgfl("model", "use", federation.version).code == 0
    assert ecgfl("--json", "model", "list").json["current"] == federation.version


def test_the_same_file_again_changes_nothing(
    member: Path, exported: Path, ecgfl: Ecgfl, files_of
) -> None:
    assert ecgfl("model", "import", exported).code == 0
    before = files_of(member / "models")
    ran = ecgfl("--json", "model", "import", exported)
    assert (ran.code, ran.json["acceptance"]["reason"]) == (0, "it is the current model already")
    assert files_of(member / "models") == before
    assert ecgfl("--json", "audit", "show").json["entries"][-1]["event"] == "model-received"
