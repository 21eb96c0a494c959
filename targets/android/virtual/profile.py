"""Profiles of virtual phones: what a phone is made of, as data.

In: `profiles/<name>.toml`, a name with options (`pixel:level=14,rate=20000000`). Out: a frozen `Profile`. Guarantee: a
wrong field is an error that names the file; every value is synthetic, in the formats that real phones use.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mobench_lang.plugins import DeviceError

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", "sendrecv_v2")
"""What a current adbd says of itself."""


class Part(BaseModel):
    """Base of a profile's parts: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cluster(Part):
    """CPUs of one kind: how many the phone has, `CPU part` of /proc/cpuinfo, frequencies in kHz, capacity 0–1024."""

    part: str
    cores: int
    min_khz: int
    max_khz: int
    capacity: int


class Battery(Part):
    """The gauge: its unit and sign of current, how often it updates, and the cell behind it.

    `discharging` is the sign of the current while the battery drains: −1 as the kernel documents it, +1 inverted.
    `suspends` says whether `power.battery_input.suspended` stops the charger.
    """

    node: str = "battery"
    unit: Literal["uA", "mA"] = "uA"
    discharging: Literal[-1, 1] = -1
    capacity_mah: int = 4500
    level: float = 80.0
    update_ms: int = 1000
    charger_ma: int = 900
    suspends: bool = True
    charge_counter: bool = True


class Power(Part):
    """Power and heat: mW with the screen on and off, per busy CPU; kelvin per watt and time constants in s; throttling
    between two temperatures of the SoC in °C, down to a share of the maximum frequency."""

    screen_mw: int = 900
    idle_mw: int = 350
    core_mw: int = 1400
    ambient: float = 25.0
    soc_k_per_w: float = 7.0
    soc_tau_s: float = 12.0
    skin_k_per_w: float = 2.5
    skin_tau_s: float = 120.0
    throttle_from: float = 75.0
    throttle_to: float = 95.0
    throttle_least: float = 0.5


class Rail(Part):
    """One channel of an energy counter: its share of the power at rest and of what load adds."""

    name: str
    idle: float
    load: float
    device: int = 0


class Zone(Part):
    """One thermal zone: type, what it follows, units per °C, and whether the shell may read it."""

    type: str
    follows: Literal["soc", "skin", "battery", "ambient"]
    per_degree: int = 1000
    offset: float = 0.0
    denied: bool = False


class Profile(Part):
    """A phone."""

    name: str
    summary: str
    api: int
    props: dict[str, str]
    clusters: tuple[Cluster, ...]
    memory_kib: int
    kernel: str
    features: tuple[str, ...] = FEATURES
    qemu_cpu: str = "max"
    cpu_features: str = (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
    )
    battery: Battery = Battery()
    power: Power = Power()
    rails: tuple[Rail, ...] = ()
    rails_denied: bool = False
    zones: tuple[Zone, ...] = ()
    thermalservice: bool = True
    cpufreq_denied: bool = False
    stat_denied: bool = False
    storage_kib: int = 64 << 20


class Options(Part):
    """What may be asked of a phone beside its profile: after the name, or in MOBENCH_PHONE.

    `level` is the battery in %, `rate` the link in bytes per second, `quota` the bytes that /data holds, `ambient` in
    °C, `speed` a factor on heating and cooling; `unauthorized` needs a tap that nobody makes; `drop_push`,
    `drop_pull` and `drop_rx` cut the link once, after so many bytes of pushes, of pulls, or of anything that comes;
    `refuse` is for how many seconds it then stays cut. So many `short_pulls` end halfway, as if they were whole.
    `background` is the share of all CPUs that other programs keep busy, `throttle` a curve of the share of the maximum
    frequency that is left after seconds under load: `0:1/20:0.7/60:0.5`, or `0.5` from the beginning. `hub` hangs the
    phone on a virtual USB hub of a kind (`hub.KINDS`); it stays there.
    """

    level: float | None = Field(default=None, ge=0, le=100)
    rate: int | None = Field(default=None, gt=0)
    quota: int | None = Field(default=None, gt=0)
    ambient: float | None = None
    speed: float = Field(default=1.0, gt=0)
    unauthorized: bool = False
    drop_push: int | None = None
    drop_pull: int | None = None
    drop_rx: int | None = None
    short_pulls: int = Field(default=0, ge=0)
    background: float = Field(default=0.0, ge=0, le=1)
    throttle: str = Field(default="", pattern=r"^(?:(?:\d+(?:\.\d+)?:)?[01](?:\.\d+)?(?:/|$))*$")
    refuse: float = 0.0
    hub: Literal["ppps", "usb3", "ganged", "nops", "linked", "leaky", "stuck", "denied"] | None = None


def share(curve: str, loaded: float) -> float:
    """The share of the maximum frequency that a curve (`Options.throttle`) leaves after some seconds under load."""
    left = 1.0
    for point in filter(None, curve.split("/")):
        second, colon, value = point.rpartition(":")
        if not colon or float(second) <= loaded:
            left = min(float(value), 1.0)
    return left


def names() -> list[str]:
    """The names of all profiles, sorted."""
    return sorted(
        f.name.removesuffix(".toml") for f in files(f"{__package__}.profiles").iterdir() if f.name[-5:] == ".toml"
    )


def load(name: str) -> Profile:
    """The profile of a name. Raises DeviceError('no_profile')."""
    if name not in names():
        raise DeviceError("no_profile", f"there is no virtual phone {name!r}; there are {', '.join(names())}")
    text = (files(f"{__package__}.profiles") / f"{name}.toml").read_text("utf-8")
    try:
        return Profile.model_validate({"name": name, **tomllib.loads(text)})
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"profiles/{name}.toml: {error}") from error


def options(text: str) -> Options:
    """Options written as `key=value,key=value`. Raises DeviceError('bad_option')."""
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    values: dict[str, Any] = {key.strip(): value.strip() if is_set else "true" for key, is_set, value in pairs}
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Options.model_fields)
        raise DeviceError(
            "bad_option", f"option {what!r} of a virtual phone: {first['msg']}; there are {known}"
        ) from error
