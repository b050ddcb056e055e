"""Run the demo with real processes, TLS and keys on loopback."""

import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ecgfl_adapters.registry import adapters

from ecgfl_cli.console import Console, percent
from ecgfl_cli.demo.hospitals import HOSPITALS, PATIENTS_A_HOSPITAL, export, recordings
from ecgfl_cli.errors import EcgflError, UsageError
from ecgfl_cli.logs import Event, log_fields
from ecgfl_cli.site.settings_edit import change_settings

_log = logging.getLogger(__name__)

START_SECONDS = 60
OWN_POLICY: dict[str, object] = {
    "acceptance_margin": 1.0,
    "from_scratch": True,
    "min_training_patients": 3,
    "min_held_out_patients": 1,
}
"""Settings of the demo's hospitals that differ from the defaults.

Each hospital has four patients, but the defaults require ten to train on and two held out. The run
starts from random weights, because the demo shows training and because the starter model may have
seen these recordings.
"""

SYNTHETIC = (
    "The ECGs of this demo are synthetic: they are computed for the demo and for tests, and allow "
    "no conclusion about patients."
)


class DemoFailed(EcgflError):
    """A process of the demo failed; its own message was shown."""


@log_fields(source="demo")
def run_demo(console: Console, data: Path | None, keep: Path | None) -> dict[str, Any]:
    """Run the demo in `keep` or a temporary folder, and return its result for JSON."""
    if keep is not None and keep.is_dir() and any(keep.iterdir()):
        raise UsageError(
            f"--keep {keep}: not empty", "Give an empty folder, or one that does not exist yet"
        )
    began = time.monotonic()
    with (
        nullcontext(str(keep))
        if keep is not None
        else tempfile.TemporaryDirectory(prefix="ecgfl-demo-") as folder
    ):
        result = _Demo(console, Path(folder), is_kept=keep is not None).run(data)
    seconds = time.monotonic() - began
    kept = (
        "all files removed; --keep FOLDER keeps homes, report and results"
        if keep is None
        else f"files kept in {keep}"
    )
    console.say(f"done in {seconds:.0f} s, {kept}")
    return {**result, "seconds": round(seconds, 1)}


class _Demo:
    def __init__(self, console: Console, folder: Path, is_kept: bool) -> None:
        self._console = console
        self._folder = folder
        self._is_kept = is_kept
        self._coordinator = folder / "coordinator"

    def run(self, data: Path | None) -> dict[str, Any]:
        if data is None:
            self._console.say(SYNTHETIC)
        *patients, unseen = recordings(data)
        self._console.say("making the coordinator and three hospitals")
        self._ecgfl(self._coordinator, "coordinator", "init", "--name", "localhost")
        federation = self._coordinator / "coordinator" / "federation.json"
        for number, hospital in enumerate(HOSPITALS):
            home, exports = self._folder / hospital.name, self._folder / "exports" / hospital.name
            for recording in patients[
                number * PATIENTS_A_HOSPITAL : (number + 1) * PATIENTS_A_HOSPITAL
            ]:
                export(hospital, recording, exports)
            self._ecgfl(home, "init", "--site", hospital.name, "--federation", str(federation))
            changes = ", ".join(
                f"{name} = {json.dumps(value)}" for name, value in OWN_POLICY.items()
            )
            self._console.say(
                f"{hospital.name}: changed in site.toml, because there are few recordings: "
                + changes
            )
            change_settings(home / "site.toml", "policy", OWN_POLICY)
            self._ecgfl(
                self._coordinator,
                "coordinator",
                "enrol",
                str(home / "keys" / "node.pub"),
                "--site",
                hospital.name,
            )
            counts = json.loads(self._ecgfl(home, "ingest", str(exports)))["outcomes"]
            self._console.say(
                f"{hospital.name} ingested {counts.get('added', 0)} recordings "
                f"({hospital.format}, {hospital.fs} Hz)"
            )
        served = self._federate()
        first = self._folder / HOSPITALS[0].name
        (self._folder / "unseen").mkdir()
        unseen_files = adapters()["wfdb"].write(unseen, self._folder / "unseen")
        self._console.say(
            f"{HOSPITALS[0].name} predicts {unseen.name}, which no hospital trained on"
        )
        predicted = json.loads(
            self._ecgfl(
                first, "predict", str(unseen_files[0]), "--out", str(self._folder / "unseen")
            )
        )
        evaluated = json.loads(self._ecgfl(first, "evaluate", str(unseen_files[0])))
        self._tell(served, predicted, evaluated)
        prediction = predicted["recordings"][0]
        if not self._is_kept:
            served = _without(served, "report")
            prediction = _without(prediction, "file", "written")
        return {
            "synthetic": data is None,
            "run": served,
            "prediction": prediction,
            "evaluation": evaluated["gross"],
        }

    def _federate(self) -> dict[str, Any]:
        """Run the coordinator and the three sites in their own processes, and show their lines."""
        # From random weights, because the effect of training is easiest to see.
        plan = ("--min-sites", str(len(HOSPITALS)), "--from-scratch")
        arguments = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0", *plan)
        coordinator = self._process(self._coordinator, *arguments)
        processes = [coordinator]
        try:
            port = coordinator.wait_for(Event.READY, START_SECONDS)["port"]
            for hospital in HOSPITALS:
                join = ("join", "--server", f"localhost:{port}", "--once", "--max-wait", "5m")
                processes.append(self._process(self._folder / hospital.name, *join))
            while any(process.runs() for process in processes):
                if failed := [process for process in processes if process.failed()]:
                    failed[0].finish()
                time.sleep(0.2)
            outputs = [process.finish() for process in processes]
        finally:
            for process in processes:
                process.stop()
        return dict(json.loads(outputs[0]))

    def _ecgfl(self, home: Path, *arguments: str) -> str:
        """Run one command to its end and return its JSON."""
        return self._process(home, "--quiet", *arguments).finish()

    def _process(self, home: Path, *arguments: str) -> "_Process":
        return _Process(
            self._console, home, *arguments, hidden=None if self._is_kept else self._folder
        )

    def _tell(
        self, served: dict[str, Any], predicted: dict[str, Any], evaluated: dict[str, Any]
    ) -> None:
        rows = []
        for each in served["rounds"]:
            metrics = each["metrics"] or {}
            shares = [percent(metrics.get(name)) for name in ("sensitivity", "precision")]
            rows.append(
                (
                    each["round"],
                    len(each["sites"]),
                    each["examples"],
                    each["loss"],
                    metrics.get("beats"),
                    *shares,
                )
            )
        columns = (
            "round",
            "sites",
            "beats",
            "loss",
            "held-out beats",
            "sensitivity %",
            "precision %",
        )
        self._console.table(f"Federated training of {served['model']}", columns, rows)
        ectopy = predicted["recordings"][0]["ectopy"]
        gross = evaluated["gross"]
        self._console.table(
            f"{predicted['recordings'][0]['record']}: no hospital trained on it",
            ("beats", "PVCs", "burden %", "PVCs/h", "couplets", "runs", "VEB Se %", "VEB +P %"),
            [
                (
                    *(
                        ectopy[name]
                        for name in (
                            "beats",
                            "pvcs",
                            "burden_percent",
                            "pvcs_per_hour",
                            "couplets",
                            "runs",
                        )
                    ),
                    *(percent(gross[name]) for name in ("veb_sensitivity", "veb_ppv")),
                )
            ],
        )


def _log_entry(line: str) -> dict[str, Any] | None:
    """Return the object of a line of the JSON log; None for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a log entry that another process wrote."""
    return _without(entry, "time", "level", "logger", "message")


def _without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


class _Process:
    """An ecgfl command in its own process.

    Its log is passed on, and its stdout is JSON.

    Parameters
    ----------
    console
        Console of the demo.
    home
        Home of the site or coordinator.
    *arguments
        The command and its options.
    hidden
        A folder that is removed at the end. Lines that contain its path are not passed on.
    """

    def __init__(self, console: Console, home: Path, *arguments: str, hidden: Path | None) -> None:
        command = [sys.executable, "-m", "ecgfl_cli", "--home", str(home), "--json"]
        command += ["--log-format", "json", *arguments]
        self._console = console
        self._name = " ".join(arguments[:2])
        self._hidden = hidden
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def wait_for(self, event: Event, seconds: float) -> dict[str, Any]:
        """Return the first entry of an event in the log of the process.

        Raises
        ------
        DemoFailed
            If the process ends or the time is over before.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            for entry in list(self._events):
                if entry["event"] == event:
                    return entry
            time.sleep(0.05)
        raise DemoFailed(f"`ecgfl {self._name}` did not start", "Its own message is above")

    def finish(self) -> str:
        """Wait for the end and return stdout. Raises `DemoFailed` when the exit code is not 0."""
        assert self._process.stdout is not None
        output = self._process.stdout.read()
        code = self._process.wait()
        self._reader.join()
        if code:
            raise DemoFailed(
                f"`ecgfl {self._name}` ended with exit code {code}", "Its own message is above"
            )
        return output

    def runs(self) -> bool:
        return self._process.poll() is None

    def failed(self) -> bool:
        return bool(self._process.poll())

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _pass_on(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            entry = _log_entry(line)
            if entry is None:  # a native library wrote to the process's stderr
                self._console.say(line.rstrip())
                continue
            self._events.append(entry)
            level = logging.getLevelNamesMapping()[entry["level"]]
            message = entry["message"]
            if level < logging.ERROR and self._hidden is not None and str(self._hidden) in message:
                continue
            _log.log(level, message, extra=_fields(entry))
