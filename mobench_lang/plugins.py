"""Plug-ins: the protocols of targets, engines and meters, and what loads them.

In: the name of a pack that discovery found (`manifests`). Out: when something is executed, the plug-in object itself.
Targets and engines meet only in data: a job, an argument vector, files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from mobench_lang.ir import Entity
from mobench_lang.packs import PluginError, manifests, points

if TYPE_CHECKING:
    from mobench_lang.plan.model import PlanArtifact, PlanSetting
    from mobench_lang.protocol import Event, Job

# ---------------------------------------------------------------- what a pack does when something is executed


@dataclass(frozen=True, slots=True)
class Weights:
    """A file ready to be pushed or opened, such as a model: host path, sha256, size in bytes, how it came to be."""

    path: Path
    sha256: str
    size: int
    note: str


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start an instrument for one job: argument vector and environment.

    In the vector `{job}` and `{events}` are replaced by the paths on the device, and `{name}` by that of each of the
    `files`: programs of the host that the device needs, and that are made executable there. A first word that begins
    with `~/` is below the home of the device's user. With `keeps_output` what the program prints on stdout becomes a
    raw file of its own, OUTPUT, instead of a part of the log. `by_shell` says why the runner does not watch and
    sample the launch on a device, where that is so, and what to do: the device's shell does it then, coarsely.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: Mapping[str, Weights] = field(default_factory=dict)
    keeps_output: bool = False
    by_shell: str = ""


OUTPUT = "output.txt"
"""The raw file of a launch that keeps its output."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a launch: its time in ns, and the temperature of the default sensor in m°C (None: no limit)."""

    timeout_ns: int
    abort_above: int | None = None


class Engine(Protocol):
    """An engine plug-in."""

    name: str

    def build(self, platform: str) -> str:
        """The engine's build on a platform as one line; part of what resume pins.

        A platform is `host` or `<system>-<processor>` (`linux-arm64`, `android-arm64`), with `+dotprod` where the
        processor has the instructions for dot products and half precision.

        Raises PlatformError if the engine cannot run there.
        """

    def obtain(self, artifact: PlanArtifact, cache: Path) -> Weights:
        """The weights of an artefact: found, downloaded or derived (cached by digest), verified.

        Raises ArtifactError with what is wrong and what to do.
        """

    def pin(self, artifact: PlanArtifact, cache: Path) -> PlanArtifact:
        """The artefact of a hub source as it is now: `revision` is the full commit, `location` the one file there that
        is meant for the quant, `sha256` and `size` are that file's; everything else stays. Nothing is downloaded but
        what the hub says of its files; `obtain` gets such an artefact from a plan whose source is locked, and takes
        that commit, that file and that content or raises.

        Raises ArtifactError with what is wrong and what to do, also where the engine takes nothing from a hub.
        """

    def launch(self, platform: str, engine: Entity) -> Launch:
        """How to start the instrument on a platform for a resolved engine value."""


@runtime_checkable
class Diagnosed(Protocol):
    """What an engine, a target or a meter has beside its own protocol if it can look at itself on this machine
    (`mobench doctor`)."""

    def diagnose(self, where: Path) -> list[Finding]:
        """What it is and what stands in its way; `where` is the folder of the project. An engine raises PlatformError
        where it cannot run here."""


@runtime_checkable
class Completer(Protocol):
    """What an engine has beside `Engine` if the host does a part of the work for instruments that cannot."""

    def complete(self, job: Job, platform: str, engine: Entity, weights: Weights) -> Job:
        """The job as the instrument of a platform needs it, such as with its conversations rendered by the chat
        template of these weights. Raises RefusedError."""


class StockTool(Protocol):
    """A program of others that measures: it reads no job and writes no events. Values that are equal are one tool."""

    @property
    def name(self) -> str:
        """As specs call it."""

    def build(self, platform: str) -> str:
        """As `Engine.build`, of this tool. Raises PlatformError."""

    def launch(self, platform: str, job: Job) -> Launch:
        """How to start it for a job. Raises PlatformError, and RefusedError for a job that it cannot do."""

    def read(self, job: Job, output: Path, outcome: Outcome) -> list[Event]:
        """What it printed in a launch of that job, as events; `output` need not be there. A fault is an `error` event;
        raises OSError only."""


@runtime_checkable
class StockTools(Protocol):
    """What an engine has beside `Engine` if a tool of others can be its instrument."""

    def stock(self, engine: Entity) -> StockTool | None:
        """The tool that a resolved engine value asks for; None for the engine's own instruments. Equal (and hashed
        alike) for equal values."""


class RefusedError(Exception):
    """A cell cannot be run as it is written on this device; `reason` is stable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


Report = Callable[[str, int, int], None]
"""What says how far long work is: a step in words, and how many of how many are done (0, 0 where that is unknown)."""


@dataclass(frozen=True, slots=True)
class Made:
    """An instrument for a platform. `state` is `built`, `older sources` (what is there was made from others than
    today's) or `not built` (path, sha256, size and build are then None); `about` says in words where it runs."""

    platform: str
    state: Literal["built", "older sources", "not built"]
    about: str
    path: Path | None = None
    sha256: str | None = None
    size: int | None = None
    build: str | None = None


@runtime_checkable
class Maker(Protocol):
    """What an engine has beside `Engine` if its instrument has to be built for other platforms (`mobench runner`)."""

    def instruments(self, tool: str = "") -> list[Made]:
        """Every platform that an instrument can be built for, and what is built. Nothing is compiled or fetched. `tool`
        names another instrument than the engine's usual one. Raises PlatformError if there is none of that name."""

    def make(self, platform: str, options: Mapping[str, str], report: Report) -> Made:
        """The instrument for a platform, built if need be, kept in the user's cache. `options` are those of the command
        line that were given (`ndk`: a folder, `cuda`: `yes`, `tool`: as above).

        Raises PlatformError with what is wrong and what to do; where a compiler failed, with the end of its log.
        """


@dataclass(frozen=True, slots=True)
class Work:
    """A program that a device compiles for itself.

    `key` is the digest of all that decides about it; works of one `tree` share a folder on the device, so that objects
    are kept. In that folder stand the `files` under their names when `script` (POSIX sh) runs; it leaves `program`
    there, and says on stdout how far it is as `[ 12%]` or `[3/40]`. `needs` are programs that must be there, each with
    what to do where it is not; `space` is how many bytes should be free.
    """

    key: str
    tree: str
    files: Mapping[str, Weights]
    script: str
    program: str
    needs: Mapping[str, str]
    space: int


@runtime_checkable
class RemoteMaker(Protocol):
    """What an engine has beside `Maker` if a device can compile its instrument (`mobench runner build NAME --on …`)."""

    def work(self, platform: str, report: Report) -> Work:
        """What the device has to do. Raises PlatformError."""

    def adopt(self, platform: str, done: Work, program: Path, about: str) -> Made:
        """Keep the program that a device compiled in the user's cache; `about` says what compiled it."""


class PlatformError(Exception):
    """The engine is not there for a platform; the text says what to install."""


class ArtifactError(Exception):
    """Weights are missing, changed or unusable; the text says what to do."""


class DeviceError(Exception):
    """A device cannot be used; `code` is stable (`not_found`, `lost`, `busy`…), the text says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a launch ended: `ok`, or a stable reason (`crashed`, `out_of_memory`, `timeout`, `lost_device`,
    `engine_error`, `too_hot`, `cancelled`) with a detail.

    `spawned` and `exited` are when the process began and was gone, on the device's monotonic clock in ns (the clock of
    the events), `exit` is its exit status (negative: the signal that ended it), None where that is not known.
    `slept_ns` is for how long the device stood still in between (it was suspended, or the launch was frozen), `cpu_ns`
    the CPU time of everything that the launch started; None where the device cannot say.
    """

    status: Literal["ok", "failed"]
    reason: str = ""
    detail: str = ""
    spawned: int | None = None
    exited: int | None = None
    slept_ns: int | None = None
    cpu_ns: int | None = None
    exit: int | None = None


class Session(Protocol):
    """One opened device. All methods may be slow and are awaited; a lost device raises DeviceError('lost')."""

    platform: str

    async def facts(self) -> dict[str, Any]:
        """What the device is: JSON data with at least `identity` (stable for the physical device), `cpu`, `cores`,
        `ram_bytes`, `os`, `kernel`, `simulated`, and `clusters` (lists of CPU numbers by falling maximum frequency)."""

    async def state(self) -> dict[str, Any]:
        """What changes: temperatures, load, governor, clocks, memory; read before and after a launch.

        Read by the core: `t` (device clock, ns), `wall_ns` (its wall clock, UTC), `temperature` (m°C of the default
        sensor, None without one), `others_busy_ns` (CPU time of all cores that went to others than mobench, a counter)
        or `busy_ns` (that went to anybody, where the launch's own is in its `Outcome`), `steal_ns` (a counter),
        `cores`, `throttled` (whether heat or the battery holds its clocks back now). All are optional.
        """

    async def prepare(self, conditions: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
        """Apply conditions and verify them; one record each (`name, requested, applied, verified, reason`)."""

    async def restore(self) -> None:
        """Put back what `prepare` changed and end what a dead host left running; safe to call twice, and from a new
        process after a crash. Called under the device's lock."""

    async def push(self, weights: Weights) -> str:
        """Make weights available on the device; the path there."""

    async def start(self, job: Job, launch: Launch, folder: Path, limits: Limits) -> None:
        """Start a launch, detached, its own process group; raw files will end up in `folder`."""

    async def wait(self) -> Outcome:
        """Wait for the launch to end; end it when its time is over (`timeout`) or its default sensor reads more than
        its limit (`too_hot`). Then every raw file is in `folder`. Only the process itself is judged here: what the
        events say of errors is read by the core."""

    async def cancel(self) -> None:
        """End a running launch and everything it started."""

    async def close(self) -> None:
        """Let the device go."""


@runtime_checkable
class Detached(Protocol):
    """What a session has beside `Session` if its launches go on while the device cannot be reached."""

    async def attach(self, job: Job, folder: Path, limits: Limits) -> bool:
        """In a session that was opened after the device was lost: whether the device knows the launch that `start` made
        with the same arguments, running or over; then `wait` goes on with it. Changes nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something `mobench doctor` says: about what, how bad, what was found, and how to mend it."""

    about: str
    level: Literal["ok", "warn", "bad"]
    found: str
    help: str = ""


class Simulated(Protocol):
    """A running virtual device: the attributes by which its target opens it (a `serial`, a `host` and `port`)."""

    attributes: Mapping[str, str | int]

    async def end(self) -> None:
        """End what stands for the device; what is on it stays for the next time."""


@runtime_checkable
class Simulator(Protocol):
    """What a target has beside `Target` if its devices can be simulated (`exec --simulate`)."""

    def profiles(self) -> list[dict[str, Any]]:
        """The devices that can be simulated: `[{name, target, summary, …}]`."""

    async def simulate(self, profile: str, scratch: Path) -> Simulated:
        """Start a virtual device, or the one that an earlier process left in `scratch`: same identity, same files. What
        follows a colon in `profile` are options of the target's own (`pixel:level=14`).
        DeviceError says what the host lacks for it."""


@runtime_checkable
class Workshop(Protocol):
    """What a target has beside `Target` if its devices can compile an instrument for themselves."""

    builds: str
    """The platform of what they compile, with the backend that only they can: `linux-arm64+cuda`."""

    async def carry_out(self, address: str, work: Work, out: Path, report: Report) -> str:
        """Do the work on the device of an address, or go on with what is under way there, and fetch the program to
        `out`; what compiled it, in one line. Raises DeviceError, with the end of the log where a compiler failed."""


class Target(Protocol):
    """A target plug-in. It may also be a `Simulator`, and `Diagnosed`."""

    name: str

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> Session:
        """Open a device, changing nothing on it; DeviceError says why not. `scratch` is a host folder, shared by all
        devices of a project, for state that survives a crash; `scripts` is the folder that `compile` made for this
        device from the manifest's `templates`."""

    def discover(self) -> list[dict[str, Any]]:
        """What is attached: `[{name, target, identity, state, …}]`."""


RECORDING = "meter.jsonl"
"""The raw file of a launch that an external meter recorded."""


class OpenMeter(Protocol):
    """A meter outside of the device, opened. A method raises DeviceError with what is wrong."""

    facts: dict[str, Any]
    """What the instrument is, as JSON data; kept among the device's facts."""

    async def start(self, folder: Path) -> None:
        """Begin to record into RECORDING in a launch's folder; returns when it does. One that still runs is ended."""

    async def stop(self) -> None:
        """End the recording, if one runs: then the file is whole. One that broke off says so in its last line."""


class Meter(Protocol):
    """A meter plug-in. It may also be `Diagnosed`."""

    name: str

    async def open(self, meter: Entity, device: Entity) -> OpenMeter:
        """Look at the instrument that a resolved `meter` value and the addresses of its device name, changing nothing.
        Raises DeviceError."""


# ---------------------------------------------------------------- loading


@cache
def target(name: str) -> Target:
    """The target plug-in of a name; imports it. Raises PluginError."""
    return _load("target", name)  # type: ignore[no-any-return]  # the entry point's promise


@cache
def engine(name: str) -> Engine:
    """The engine plug-in of a name; imports it. Raises PluginError."""
    return _load("engine", name)  # type: ignore[no-any-return]  # the entry point's promise


@cache
def meter(name: str) -> Meter:
    """The meter plug-in of a name; imports it. Raises PluginError."""
    return _load("meter", name)  # type: ignore[no-any-return]  # the entry point's promise


def _load(kind: str, name: str) -> Any:
    manifest = manifests(kind)[name]
    if not manifest.executes:
        raise PluginError(f"the {kind} {name!r} cannot be executed by this version: {manifest.why_not}")
    try:
        point = points(kind)[name]
        return attrgetter(point.attribute)(import_module(point.module))
    except (ImportError, AttributeError) as error:
        raise PluginError(f"the {kind} pack {name!r} cannot be loaded: {error}") from error
