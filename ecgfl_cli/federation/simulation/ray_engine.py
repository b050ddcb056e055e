"""Flower's simulation engine on this machine alone: each virtual site is a node that one of Ray's processes answers for.

`flwr run`, which Flower would rather have used, needs a SuperLink with its Control API and a bundle of code; `run_simulation`
takes the installed code. Ray serves programs on other machines unless it is told not to: here it listens on the loopback address
only, with a token that nobody else on this machine knows, and without its dashboard and its usage statistics.
"""

import importlib.util
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from flwr.app import Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import PARTITION_ID_KEY
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from flwr.superlink.grid import InMemoryGrid

from ecgfl_cli.errors import EcgflError, UsageError
from ecgfl_cli.federation.coordinator.runs.run_plan import Report
from ecgfl_cli.federation.flower import quieten
from ecgfl_cli.federation.flower.codec import content_of, record_of
from ecgfl_cli.federation.flower.grid_transport import GridTransport
from ecgfl_cli.federation.messages import FAILED, Kind, content_of_release
from ecgfl_cli.federation.simulation.virtual_participant import VirtualParticipants
from ecgfl_cli.federation.transport import CoordinatorTransport

PLACE = "place"
POLL_SECONDS = 0.1
OBJECT_STORE_BYTES = 200 * 2**20
"""Ray would take a third of the memory. A model is a megabyte."""

LONGEST_FOLDER = 45
"""Characters of the path of Ray's folder: it makes Unix sockets in there, whose paths may have about 100."""

Drive = Callable[[CoordinatorTransport, dict[int, int]], None]
"""Takes the transport, and for each node the index of its virtual site."""


class Stopped(KeyboardInterrupt):
    """The simulation ends before its time."""


def require_engine() -> None:
    """Raises `UsageError` where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError(
            "Flower's simulation engine is not installed",
            f"Install it beside this ecgfl: {sys.executable} -m pip install 'flwr[simulation]=={version('flwr')}'",
        )


def place_of(context: Context) -> int:
    """Which of the virtual sites a message is for."""
    return int(context.node_config[PARTITION_ID_KEY])


def run_engine(
    participants: VirtualParticipants, sites: int, processes: int, drive: Drive, report: Report
) -> None:
    """Answer for virtual sites in other processes until `drive` returns.

    Parameters
    ----------
    participants
        Answers for the sites. Is sent to Ray's processes.
    sites
        Number of sites.
    processes
        Number of processes.
    drive
        Runs the rounds.
    report
        Is called with a line for the person who watches.

    Raises
    ------
    KeyboardInterrupt
        If the simulation is interrupted. What `drive` raises is raised again.
    """
    app = client_app(participants)
    stop = threading.Event()
    ended: list[BaseException] = []
    server = ServerApp()

    @app.query()
    def _tell_place(message: Message, context: Context) -> Message:
        return Message(
            RecordDict({PLACE: MetricRecord({PLACE: place_of(context)})}), reply_to=message
        )

    @server.main()
    def _main(grid: Grid, context: Context) -> None:  # noqa: ARG001
        assert isinstance(grid, InMemoryGrid)
        watched = SimulatedGrid(grid, stop, report)
        try:
            drive(GridTransport(watched), watched.wait_for_nodes(sites))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
            ended.append(error)
            if stop.is_set():
                _end_work()

    with _ray(processes), _interrupts_stop(stop):
        quieten()
        try:
            run_simulation(
                server,
                app,
                sites,
                backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
            )
        finally:
            stop.set()
    if ended:
        raise ended[0]


def client_app(participants: VirtualParticipants) -> ClientApp:
    """Return the Flower app that answers for all virtual sites."""
    app = ClientApp()

    @app.train()
    def _train(message: Message, context: Context) -> Message:
        return _answer(participants, Kind.TRAIN, message, context)

    @app.evaluate()
    def _evaluate(message: Message, context: Context) -> Message:
        return _answer(participants, Kind.EVALUATE, message, context)

    return app


def _answer(
    participants: VirtualParticipants, kind: Kind, message: Message, context: Context
) -> Message:
    place = place_of(context)
    try:
        release = participants.answer(place, kind, content_of(message.content))
    except EcgflError as error:  # the reason in words may be sent: it does not leave this machine
        words = f"{participants.sites[place].name}: {error}"
        return Message(Error(FAILED, words), reply_to=message)
    return Message(record_of(content_of_release(release)), reply_to=message)


class SimulatedGrid(InMemoryGrid):
    """The engine's grid, which can be stopped, and which tells in words why a virtual site failed."""

    def __init__(self, grid: InMemoryGrid, stop: threading.Event, report: Report) -> None:
        vars(self).update(vars(grid))  # the engine makes grids of its own class only
        self._stop, self._report = stop, report

    def wait_for_nodes(self, sites: int) -> dict[int, int]:
        """Node id -> place of its site, once the engine has made all of them."""
        while len(nodes := list(self.get_node_ids())) < sites:
            self._pause()
        asked = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in nodes]
        replies = self.send_and_receive(asked)
        return {
            reply.metadata.src_node_id: int(reply.content.metric_records[PLACE][PLACE])  # type: ignore[arg-type]
            for reply in replies
        }

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Send, and collect the replies until all are there or `timeout` seconds have passed. Raises `Stopped`."""
        waiting = set(self.push_messages(messages))
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (deadline is None or time.monotonic() < deadline):
            arrived = self.collect(waiting)
            for message in arrived:
                if message.has_error() and not self._stop.is_set():
                    self._report(f"a virtual site failed: {message.error.reason}")
            replies += arrived
            if waiting and not arrived:
                self._pause()
        return replies

    def collect(self, waiting: set[str]) -> list[Message]:
        """Return the replies that have arrived, and remove the ids that are settled."""
        arrived = list(self.pull_messages(waiting))
        waiting -= {message.metadata.reply_to_message_id for message in arrived}
        return arrived

    def _pause(self) -> None:
        if self._stop.wait(POLL_SECONDS):
            raise Stopped


@contextmanager
def _interrupts_stop(stop: threading.Event) -> Iterator[None]:
    """An interrupt sets `stop`: the engine's threads never end when it is brought down in the midst of their work."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.is_set():  # it was asked for before, and did not end quickly enough
            raise KeyboardInterrupt
        stop.set()

    try:
        for number, handler in handlers.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end_work() -> None:
    """Kill the processes that train: the engine's threads wait for their answers."""
    from ray._private.state import actors

    for actor in actors().values():
        if actor["State"] == "ALIVE":
            with suppress(OSError):
                os.kill(actor["Pid"], signal.SIGTERM if os.name == "nt" else signal.SIGKILL)


@contextmanager
def _ray(processes: int) -> Iterator[None]:
    """Ray on this machine, with so many processes to work in."""
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # on Linux, too: makes it stay on the loopback address
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    )
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory(
        prefix="ecgfl-", dir=_short_folder(), ignore_cleanup_errors=True
    ) as folder:
        try:
            ray.init(
                address="local",
                num_cpus=processes,
                num_gpus=0,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=OBJECT_STORE_BYTES,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
            )
            signal.signal(signal.SIGTERM, handler)  # Ray took it
            yield
        finally:
            ray.shutdown()


def _short_folder() -> Path | None:
    """Where Ray's folder may lie; None stands for the usual place."""
    return (
        Path("/tmp")
        if os.name == "posix"
        and len(tempfile.gettempdir()) > LONGEST_FOLDER - len("/ecgfl-12345678")
        else None
    )
