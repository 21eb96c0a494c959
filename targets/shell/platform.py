"""What a target adds to the common session: the facts, state, conditions and sensors of its kind of device.

In: an open link. Out: data. A target writes one class that is a `Platform`, hands it with a transport to
`ShellSession`, and has a device that is pushed to, started, waited for, found again, collected from and restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mobench_targets.shell.transport import Transport

from mobench_lang.plan.model import PlanSetting


@dataclass(frozen=True, slots=True)
class Sensor:
    """A file of the device whose first integer (behind the text `after`, if any) times `scale` is m°C."""

    path: str
    scale: int = 1
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of `samples.jsonl`: a file as in `Sensor`, times `scale` in `unit`. `fast` ones are read in every row,
    `slow` ones in every `slow_every`th."""

    name: str
    unit: str
    path: str
    source: str
    tier: Literal["fast", "slow"] = "slow"
    scale: int = 1
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is sampled beside a launch, how often, and on which CPU the sampler sits (None: wherever). `lead_s` is how
    long before the instrument it begins: that is what the device draws without it. `pulses` of load before and after it
    are what the recording of a meter outside of the device is aligned by."""

    channels: tuple[Channel, ...]
    hz: float = 10.0
    slow_every: int = 10
    cpu: int | None = None
    lead_s: float = 0.0
    pulses: bool = False


class Container(Protocol):
    """What launches run in, where that is not the device itself. It is ended by its name."""

    def words(self, name: str, root: str, environment: Mapping[str, str]) -> list[str]:
        """What stands before the instrument's argument vector. Paths below `root` are the same inside."""

    def after(self, name: str) -> str:
        """The device's command that ends the container of a launch, if it is still there."""


class Changes(Protocol):
    """How a platform changes a setting so that it is put back whatever happens, also by a later process of the host."""

    async def change(self, do: str, undo: str) -> None:
        """Write the command `undo` down on the device, then run `do`. Both are one line for the device's shell; the
        undo commands are run in reverse order by `restore`. Raises DeviceError("change_failed") with what `do` said."""

    async def put_back_ago(self) -> float | None:
        """Seconds since such changes were put back, by any host; None if not since the device started. What the device
        shows may not have followed yet."""


class Platform(Protocol):
    """What is particular to a kind of device. Every method may raise DeviceError.

    `root` is where everything of mobench lives on the device; a leading `~/` is the home folder there, and the
    variable MB_ROOT of the device goes before it.
    """

    root: str

    async def facts(self, link: Transport) -> dict[str, Any]:
        """What the device is, as `Session.facts` says, and besides `platform`: what engines call it
        (`android-arm64+dotprod`). Called first and once; what `heat` and `sampling` answer may come from it."""

    async def state(self, link: Transport) -> dict[str, Any]:
        """What changes, as `Session.state` says; one command, if that can be."""

    async def prepare(
        self, link: Transport, changes: Changes, conditions: tuple[PlanSetting, ...]
    ) -> list[dict[str, Any]]:
        """Set and verify conditions, every change by `changes`; a record for each."""

    def heat(self) -> Sensor | None:
        """The default temperature sensor; None where none can be read."""

    def sampling(self) -> Sampling | None:
        """What to sample during launches; None for nothing."""
