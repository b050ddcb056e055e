"""Two hospitals with half of MIT-BIH's DS1 each train together; the model is then measured on DS2, which neither has seen.

python examples/ds1_to_ds2.py MITDB_FOLDER WORK_FOLDER

Split of the records: de Chazal et al., IEEE Trans Biomed Eng 51:1196, 2004.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
SITES = {"north": DS1[::2], "south": DS1[1::2]}


def ecgfl(home: Path, *arguments: object) -> None:
    """Run one command to its end and say how long it took."""
    began = time.monotonic()
    subprocess.run(command(home, *arguments), check=True)
    print(f"-- {time.monotonic() - began:.1f} s: ecgfl {' '.join(map(str, arguments))[:60]}", flush=True)


def command(home: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "ecgfl_cli", "--home", str(home), *map(str, arguments)]


def federate(work: Path) -> None:
    """The coordinator and both sites at the same time."""
    began = time.monotonic()
    serve = command(work / "coordinator", "coordinator", "serve", "--rounds", 5, "--host", "127.0.0.1", "--port", 0)
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as coordinator:
        assert coordinator.stderr is not None
        port = re.search(r":(\d+),", next(coordinator.stderr))
        assert port is not None
        joins = [
            subprocess.Popen(command(work / site, "join", "--server", f"localhost:{port[1]}", "--once", "--max-wait", "5m"))
            for site in SITES
        ]
        for line in coordinator.stderr:
            print(line, end="", flush=True)
        codes = [join.wait() for join in joins]
    if coordinator.returncode or any(codes):
        sys.exit(f"exit codes: coordinator {coordinator.returncode}, sites {codes}")
    print(f"-- {time.monotonic() - began:.1f} s: five rounds", flush=True)


def main(mitdb: Path, work: Path) -> None:
    ecgfl(work / "coordinator", "coordinator", "init", "--name", "localhost")
    for site, records in SITES.items():
        home = work / site
        ecgfl(home, "init", "--site", site, "--federation", work / "coordinator" / "coordinator" / "federation.json")
        ecgfl(work / "coordinator", "coordinator", "enrol", home / "keys" / "node.pub", "--site", site)
        ecgfl(home, "ingest", *(mitdb / f"{record}.hea" for record in records))
    federate(work)
    unseen = [mitdb / f"{record}.hea" for record in DS2]
    ecgfl(work / "north", "predict", *unseen, "--out", work / "ds2", "--format", "wfdb")
    ecgfl(work / "north", "evaluate", *unseen)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
