"""Run Flower's simulation engine on this machine alone.

Each virtual site is a node for which one of Ray's processes answers. `flwr run`, which Flower
recommends, needs a SuperLink with its Control API and a bundle of code; `run_simulation` uses the
installed code. By default Ray serves programs on other machines. Here it listens on the loopback
address only, with a secret token, and without its dashboard and its usage statistics.
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
from ecgfl_cli.federation.flower import quieten
from ecgfl_cli.federation.flower.codec import content_of, record_of
from ecgfl_cli.federation.flower.grid_transport import GridTransport
from ecgfl_cli.federation.messages import FAILED, Kind, content_of_release
from ecgfl_cli.federation.simulation.virtual_participant import VirtualParticipants
from ecgfl_cli.federation.transport import CoordinatorTransport
from ecgfl_cli.logs import Event, event

_log = logging.getLogger(__name__)

PLACE = "place"
POLL_SECONDS = 0.1
OBJECT_STORE_BYTES = 200 * 2**20
"""Size of Ray's object store. Ray would take a third of the memory; a model is a megabyte."""

LONGEST_FOLDER = 45
"""Largest number of characters of the path of Ray's folder. The paths of the Unix sockets in it may
have about 100."""

Drive = Callable[[CoordinatorTransport, dict[int, int]], None]
"""Takes the transport, and for each node the index of its virtual site."""


class Stopped(KeyboardInterrupt):
    """The simulation was stopped."""


def require_engine() -> None:
    """Raise `UsageError` if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError(
            "Flower's simulation engine is not installed",
            f"Run: {sys.executable} -m pip install 'flwr[simulation]=={version('flwr')}'",
        )


def place_of(context: Context) -> int:
    """Return the index of the virtual site that a message is for."""
    return int(context.node_config[PARTITION_ID_KEY])


def run_engine(participants: VirtualParticipants, sites: int, processes: int, drive: Drive) -> None:
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
        watched = SimulatedGrid(grid, stop)
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
    """The engine's grid, which can be stopped, and which logs why a virtual site failed.

    Parameters
    ----------
    grid
        The grid that the engine created.
    stop
        Is set to stop the simulation.
    """

    def __init__(self, grid: InMemoryGrid, stop: threading.Event) -> None:
        vars(self).update(vars(grid))  # the engine creates grids of its own class only
        self._stop = stop

    def wait_for_nodes(self, sites: int) -> dict[int, int]:
        """Wait until the engine has created all nodes, and return node id -> index of its site."""
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
        """Send messages, and collect the replies until all have arrived or the time is over.

        Parameters
        ----------
        messages
            The messages.
        timeout
            Time limit in seconds.

        Raises
        ------
        Stopped
            If the simulation is stopped.
        """
        waiting = set(self.push_messages(messages))
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (deadline is None or time.monotonic() < deadline):
            arrived = self.collect(waiting)
            for message in arrived:
                if message.has_error() and not self._stop.is_set():
                    _log.warning(
                        f"a virtual site failed: {message.error.reason}",
                        extra=event(Event.REPLY_DROPPED, reason=message.error.reason),
                    )
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
    """Let an interrupt set `stop`: an exception would leave the engine's threads running."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.is_set():  # the second interrupt: the first one did not end it quickly
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
    """Kill the processes that train, because the engine's threads wait for their replies."""
    from ray._private.state import actors

    for actor in actors().values():
        if actor["State"] == "ALIVE":
            with suppress(OSError):
                os.kill(actor["Pid"], signal.SIGTERM if os.name == "nt" else signal.SIGKILL)


@contextmanager
def _ray(processes: int) -> Iterator[None]:
    """Run Ray on this machine with this number of processes."""
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # also on Linux: it stays on the loopback address
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
            signal.signal(signal.SIGTERM, handler)  # Ray replaced it
            yield
        finally:
            ray.shutdown()


def _short_folder() -> Path | None:
    """Return a folder for Ray's folder; None for the usual one."""
    return (
        Path("/tmp")
        if os.name == "posix"
        and len(tempfile.gettempdir()) > LONGEST_FOLDER - len("/ecgfl-12345678")
        else None
    )
