"""The same federation with the processes of stock Flower: a SuperLink, a SuperNode at each site, and `flwr run`."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from ecgfl_rounds import ended
from timed_rounds import RoundTime, TimedRun

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.home import Home

APP = Path(__file__).resolve().parent / "stock_flower"
PROGRAMS = Path(sys.executable).parent
CONNECTION = "benchmark"
START_SECONDS, END_SECONDS = 60.0, 450.0


def run_stock(
    coordinator: Home, sites: dict[str, Home], rounds: int, sizes: list[int], train_seconds: float
) -> TimedRun:
    """sizes : of the arrays that make up the weights. train_seconds : for which a site naps. The homes lend their keys and
    certificates. The time begins with `flwr run`, when the nodes are there.
    """
    keys = CoordinatorHome(coordinator.coordinator)
    with tempfile.TemporaryDirectory() as place, ended([]) as processes:
        folder, port = Path(place), free_port()
        environment = _environment(folder, f"localhost:{port}", keys.ca_certificate)
        link = [
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
        ]
        for option, file in (
            ("cert", keys.server_certificate),
            ("key", keys.server_key),
            ("ca-cert", keys.ca_certificate),
        ):
            link += [f"--ssl-{option}file", str(file)]
        processes.append(_start(folder / "superlink", environment, "flower-superlink", *link))
        _wait_for_listener(port, processes[0], folder / "superlink")
        for name, home in sites.items():
            _flwr(
                environment,
                "supernode",
                "register",
                str(home.node_public_key),
                CONNECTION,
                "--name",
                name,
            )
            node = [
                "--superlink",
                f"localhost:{port}",
                "--root-certificates",
                str(keys.ca_certificate),
                "--host",
                "127.0.0.1",
            ]
            node += ["--port", str(free_port()), "--auth-supernode-private-key", str(home.node_key)]
            processes.append(_start(folder / name, environment, "flower-supernode", *node))
        for name in sites:
            _wait_for_words(folder / name, "SuperNode ID")
        times, began = folder / "times", time.monotonic()
        config = {"rounds": rounds, "sites": len(sites), "train-seconds": train_seconds}
        words = [f"{name}={value}" for name, value in config.items()]
        words += [f'sizes="{",".join(map(str, sizes))}"', f'times="{times}"']
        _flwr(environment, "run", str(APP), CONNECTION, "--run-config", " ".join(words))
        try:
            _wait_for_words(times, "end", END_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(
                {name: (folder / name).read_text()[-3000:] for name in ("superlink", *sites)}
            ) from error
        seconds = time.monotonic() - began
        starts = [
            float(line.split()[1])
            for line in times.read_text().splitlines()
            if line.startswith("round")
        ]
    return TimedRun(
        seconds,
        [RoundTime(after - before, train_seconds, 0.0) for before, after in pairwise(starts)],
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _environment(folder: Path, address: str, ca: Path) -> dict[str, str]:
    """Flower's state in this folder, nothing sent to Flower's makers, and its programs, which it starts by their names."""
    home = folder / "flwr"
    home.mkdir()
    lines = [
        f'[superlink.{CONNECTION}]\naddress = "{address}"\nroot-certificates = "{ca}"\ninsecure = false\n'
    ]
    (home / "config.toml").write_text("".join(lines))
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


def _wait_for_words(file: Path, words: str, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not file.is_file() or words not in file.read_text():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file.name} does not say {words!r} within {seconds:.0f} s")
        time.sleep(0.2)
