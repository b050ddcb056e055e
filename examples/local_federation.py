"""A coordinator and its sites on one machine, through the command line alone: what the other examples are made of."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LONGEST_WAIT = "10m"
POLICY = (
    "acceptance_margin = 1.0",
    "from_scratch = true",
    "min_training_patients = 1",
    "min_held_out_patients = 1",
)


def command(home: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "ecgfl_cli", "--home", str(home), *map(str, arguments)]


def ecgfl(home: Path, *arguments: object) -> None:
    """Run one command to its end and say how long it took."""
    began = time.monotonic()
    subprocess.run(command(home, *arguments), check=True)
    print(
        f"-- {time.monotonic() - began:.1f} s: ecgfl {' '.join(map(str, arguments))[:60]}",
        flush=True,
    )


def found(work: Path, sites: Mapping[str, Sequence[Path]], *reading: object) -> None:
    """Make the coordinator's home and each site's, enrol the sites and ingest their recordings.

    reading : options of `ingest`. Which patients a site holds out depends on its secret: here it is its name, not a secret at
    all, so that everybody gets the same.
    """
    ecgfl(work / "coordinator", "coordinator", "init", "--name", "localhost")
    for site, recordings in sites.items():
        home = work / site
        secret = home / "keys" / "secret"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret.parent.mkdir(mode=0o700, exist_ok=True)
        secret.write_bytes(site.encode().ljust(32, b"."))
        secret.chmod(0o600)  # ecgfl uses no key that others may read
        ecgfl(
            home,
            "init",
            "--site",
            site,
            "--federation",
            work / "coordinator" / "coordinator" / "federation.json",
        )
        set_policy(home / "site.toml")
        ecgfl(
            work / "coordinator", "coordinator", "enrol", home / "keys" / "node.pub", "--site", site
        )
        ecgfl(home, "ingest", *recordings, *reading)


def set_policy(settings: Path) -> None:
    """Allow what these runs need and a hospital's site.toml does not: few patients, random weights, and any model.

    The run's model is what is measured here, also where a site would rather keep the starter model.
    """
    text = settings.read_text(encoding="utf-8")
    for line in POLICY:
        text = re.sub(rf"(?m)^{line.split(' ')[0]} = .*$", line, text)
    settings.write_text(text, encoding="utf-8")


def federate(work: Path, sites: Sequence[str], *plan: object) -> None:
    """The coordinator and all sites at the same time, to the end of one run. plan : options of `coordinator serve`."""
    began = time.monotonic()
    wanted = ("--min-sites", len(sites), "--host", "127.0.0.1", "--port", 0)
    serve = command(work / "coordinator", "coordinator", "serve", *plan, *wanted)
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as coordinator:
        assert coordinator.stderr is not None
        port = None
        for said in coordinator.stderr:
            print(said, end="", flush=True)
            port = re.search(r"serving on \S+:(\d+),", said)
            if port is not None:
                break
        if port is None:
            sys.exit("coordinator serve ended before it served")
        joins = [
            subprocess.Popen(
                command(
                    work / site,
                    "join",
                    "--server",
                    f"localhost:{port[1]}",
                    "--once",
                    "--max-wait",
                    LONGEST_WAIT,
                )
            )
            for site in sites
        ]
        printing = threading.Thread(target=sys.stdout.writelines, args=(coordinator.stderr,))
        printing.start()
        while coordinator.poll() is None and not any(join.poll() for join in joins):
            time.sleep(0.2)
        if coordinator.poll() is None:  # it would wait for the site that failed
            for process in (coordinator, *joins):
                process.terminate()
        codes = [join.wait() for join in joins]
        coordinator.wait()
        printing.join()
    if coordinator.returncode or any(codes):
        sys.exit(f"exit codes: coordinator {coordinator.returncode}, sites {codes}")
    print(
        f"-- {time.monotonic() - began:.1f} s: coordinator serve {' '.join(map(str, plan))}",
        flush=True,
    )
