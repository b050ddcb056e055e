"""Run a coordinator and its sites on one machine through the command line.

The other examples use these functions.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecgfl_cli.site.settings_edit import change_settings

LONGEST_WAIT = "10m"
POLICY = {
    "acceptance_margin": 1.0,
    "from_scratch": True,
    "min_training_patients": 1,
    "min_held_out_patients": 1,
}
"""Allow few patients, random weights and any model, which a hospital's site.toml does not.

These runs measure the trained model, even if a site would keep the starter model.
"""


def command(home: Path, *arguments: object) -> list[str]:
    """Return the command line of `ecgfl` for a home."""
    return [sys.executable, "-m", "ecgfl_cli", "--home", str(home), *map(str, arguments)]


def ecgfl(home: Path, *arguments: object) -> None:
    """Run one command, and print how long it took."""
    began = time.monotonic()
    subprocess.run(command(home, *arguments), check=True)
    print(
        f"-- {time.monotonic() - began:.1f} s: ecgfl {' '.join(map(str, arguments))[:60]}",
        flush=True,
    )


def make_homes(work: Path, sites: Mapping[str, Sequence[Path]], *options: object) -> None:
    """Create the homes of coordinator and sites, enrol the sites and ingest their recordings.

    A site's secret decides which patients it holds out. Here it is the site's name, so that
    everybody gets the same result.

    Parameters
    ----------
    work
        Folder for the homes.
    sites
        Name of each site -> its recordings.
    *options
        Options of `ecgfl ingest`.
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
        change_settings(home / "site.toml", "policy", POLICY)
        ecgfl(
            work / "coordinator", "coordinator", "enrol", home / "keys" / "node.pub", "--site", site
        )
        ecgfl(home, "ingest", *recordings, *options)


def log_entry(line: str) -> dict[str, Any]:
    """Return a line of a JSON log. A library may have written another line."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) else {"event": None, "message": line.rstrip()}


def federate(work: Path, sites: Sequence[str], *plan: object) -> None:
    """Run the coordinator and all sites until one run has ended.

    plan : options of `ecgfl coordinator serve`.
    """
    began = time.monotonic()
    options = ("--min-sites", len(sites), "--host", "127.0.0.1", "--port", 0)
    serve = command(
        work / "coordinator", "--log-format", "json", "coordinator", "serve", *plan, *options
    )
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as coordinator:
        assert coordinator.stderr is not None
        port = None
        for line in coordinator.stderr:
            entry = log_entry(line)
            print(f"coordinator: {entry['message']}", flush=True)
            if entry["event"] == "ready":
                port = entry["port"]
                break
        if port is None:
            sys.exit("coordinator serve ended before it accepted sites")
        joins = [
            subprocess.Popen(
                command(
                    work / site,
                    "join",
                    "--server",
                    f"localhost:{port}",
                    "--once",
                    "--max-wait",
                    LONGEST_WAIT,
                )
            )
            for site in sites
        ]
        messages = (f"coordinator: {log_entry(line)['message']}\n" for line in coordinator.stderr)
        printing = threading.Thread(target=sys.stdout.writelines, args=(messages,))
        printing.start()
        while coordinator.poll() is None and not any(join.poll() for join in joins):
            time.sleep(0.2)
        if coordinator.poll() is None:  # it waits for the site that failed
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
