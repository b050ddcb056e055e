"""Run the same federation with the programs of stock Flower: SuperLink, SuperNodes, `flwr run`."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from cost_samples import CostSamples
from counting_relay import CountingRelay
from ecgfl_rounds import ended
from timed_rounds import RoundCost, TimedRun

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.home import Home

APP = Path(__file__).resolve().parent / "stock_flower"
PROGRAMS = Path(sys.executable).parent
CONNECTION = "benchmark"
START_SECONDS = 300.0
"""Time limit for a program to start."""

END_SECONDS = 1000.0
"""Time limit for the run, on a busy machine."""


def run_stock(
    coordinator: Home, sites: dict[str, Home], rounds: int, sizes: list[int], train_seconds: float
) -> TimedRun:
    """Run FedAvg and return the cost of its rounds. Time begins with `flwr run`.

    Parameters
    ----------
    coordinator, sites
        Homes whose keys and certificates are used.
    rounds
        Number of rounds.
    sizes
        Sizes of the arrays of the weights.
    train_seconds
        Time for which a site sleeps instead of training.
    """
    keys = CoordinatorHome(coordinator.coordinator)
    with tempfile.TemporaryDirectory() as temporary, ended([]) as processes:
        folder, port = Path(temporary), free_port()
        environment = _environment(folder, f"localhost:{port}", keys.ca_certificate)
        link = _start(
            folder / "superlink", environment, "flower-superlink", *_superlink_options(port, keys)
        )
        processes.append(link)
        _wait_for_listener(port, link, folder / "superlink")
        with CountingRelay(port) as relay:
            for name, home in sites.items():
                register = ("supernode", "register", str(home.node_public_key), CONNECTION)
                _flwr(environment, *register, "--name", name)
                options = _supernode_options(relay.port, keys, home)
                processes.append(_start(folder / name, environment, "flower-supernode", *options))
            for name in sites:
                _wait_for_text(folder / name, "SuperNode ID")
            times = folder / "times"
            config = {"rounds": rounds, "sites": len(sites), "train-seconds": train_seconds}
            settings = [f"{name}={value}" for name, value in config.items()]
            settings += [f'sizes="{",".join(map(str, sizes))}"', f'times="{times}"']
            nodes = [process.pid for process in processes[1:]]
            with CostSamples(link.pid, nodes, lambda: relay.bytes) as samples:
                began = time.monotonic()
                _flwr(environment, "run", str(APP), CONNECTION, "--run-config", " ".join(settings))
                try:
                    _wait_for_text(times, "end", END_SECONDS)
                except TimeoutError as error:
                    logs = {
                        name: (folder / name).read_text()[-3000:] for name in ("superlink", *sites)
                    }
                    raise RuntimeError(logs) from error
                seconds = time.monotonic() - began
        starts = [
            float(line.split()[1])
            for line in times.read_text().splitlines()
            if line.startswith("round")
        ]
    return TimedRun(
        seconds,
        [
            RoundCost(end - begin, train_seconds, 0.0, samples.between(begin, end))
            for begin, end in pairwise(starts)
        ],
    )


def _superlink_options(port: int, keys: CoordinatorHome) -> list[str]:
    return [
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--enable-supernode-auth", "--disable-runtime-dependency-installation"),
        *("--ssl-certfile", str(keys.server_certificate)),
        *("--ssl-keyfile", str(keys.server_key)),
        *("--ssl-ca-certfile", str(keys.ca_certificate)),
    ]


def _supernode_options(port: int, keys: CoordinatorHome, home: Home) -> list[str]:
    return [
        *("--superlink", f"localhost:{port}", "--root-certificates", str(keys.ca_certificate)),
        *("--host", "127.0.0.1", "--port", str(free_port())),
        *("--auth-supernode-private-key", str(home.node_key)),
    ]


def free_port() -> int:
    """Return a port of 127.0.0.1 that no program uses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _environment(folder: Path, address: str, ca: Path) -> dict[str, str]:
    """Return the environment of Flower's programs.

    Flower stores its state in this folder, sends no telemetry, and finds its programs in PATH.
    """
    home = folder / "flwr"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink.{CONNECTION}]\naddress = "{address}"\n'
        f'root-certificates = "{ca}"\ninsecure = false\n'
    )
    return os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def _start(
    log: Path, environment: dict[str, str], program: str, *arguments: str
) -> "subprocess.Popen[bytes]":
    with log.open("wb") as stream:
        command = [str(PROGRAMS / program), *arguments]
        return subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=stream, stderr=subprocess.STDOUT
        )


def _flwr(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [PROGRAMS / "flwr", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"flwr {' '.join(arguments)}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        )


def _wait_for_listener(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the SuperLink does not listen: {log.read_text()}")
        time.sleep(0.1)


def _wait_for_text(file: Path, text: str, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not file.is_file() or text not in file.read_text():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file.name} does not contain {text!r} within {seconds:.0f} s")
        time.sleep(0.2)
