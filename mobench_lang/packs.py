"""Manifests: what the installed packs are, as data, and discovery.

In: the entry points of the groups `mobench.targets`, `mobench.engines` and `mobench.meters` (built-ins register through
them too), and the `manifest.toml` of each. Out: `Manifest`s: schema and capabilities. Guarantee: reading them imports
no platform code; a manifest has only the fields described here, of their types, or is an error that names the file and
the field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any, Literal

from mobench_lang.entry_points import Point, registered
from mobench_lang.frozen import Misfit, from_plain, frozen

GROUPS = {"target": "mobench.targets", "engine": "mobench.engines", "meter": "mobench.meters"}


class PluginError(Exception):
    """A pack is installed but broken: its manifest is missing or wrong, or two packs claim one name."""


@frozen
class Attribute:
    """One attribute of a block: its type and what it means.

    Types: bool int number string duration size temperature ratio power rate frequency charge, capacity (of a battery:
    Wh or mAh), `enum` (with `values`), `list of <type>`, `cpus` (`all`, `big_cores`, `little_cores` or a list of cpu
    numbers), and references: model engine device workload meter task source. `min`/`max` bound ints (inclusive).
    A `pattern` (a regular expression for the whole text) bounds strings; `form` says it in words. An `address` says
    where one physical device is reached: it is no part of a plan; one that is right only `beside` another (a USB port
    beside a serial) is left out where `exec` is told another value of that. A `reserved` attribute is part of the
    language that this version cannot do yet; the text says what it will be. One that is not for the `job` is the
    host's: the instrument is not told.
    """

    type: str
    doc: str
    values: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    pattern: str = ""
    form: str = ""
    required: bool = False
    default: str = ""
    address: bool = False
    beside: str = ""
    job: bool = True
    reserved: str = ""


@frozen
class Delivery:
    """That a pack can deliver a metric, and by which method (`VmHWM`, `battery gauge`, …)."""

    method: str
    needs: str = ""


@frozen
class Conflict:
    """A condition that cannot go with a device attribute: `airplane = on` with a `serial` that is a network address."""

    condition: str
    value: str
    attribute: str
    pattern: str
    message: str


@frozen
class Instrument:
    """An instrument that a value of an engine's parameter chooses, and that can do less than the engine can.

    `title` is its name in sentences. `own` are parameters that only it reads; `workload` the only attributes of a
    workload that it can do, `apart` those of which it can do only one at a time (above 0); `metrics` the only ones that
    it tells. `parameters` and `device` are attributes of the engine and the device that it cannot follow, each with why
    and what to do instead.
    """

    parameter: str
    value: str
    title: str
    own: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    device: dict[str, str] = field(default_factory=dict)


@frozen
class Manifest:
    """A pack as data: `manifest.toml` beside the pack's `__init__.py`.

    `parameters` are attributes of the `device` block (targets) or the `engine` block (engines). `metrics` are what the
    pack delivers; `conditions` what a target can set. `quants` are the weight formats an engine can run (on targets
    in `targets`, all if empty), `derives` those it can make from a published file; `instruments` are those of an engine
    that can do less than the rest. `predeclared` is the name of a
    device that needs no declaration. `templates` are the files that `compile` renders into the folder of each device
    (`run.sh` from `templates/run.sh.j2` beside the manifest); `templates_from` are packages whose folder `templates`
    those may include from; `platform` is what its devices usually are, for programs that are prepared without one.
    """

    manifest: Literal[1]
    kind: Literal["target", "engine", "meter"]
    name: str
    version: str
    summary: str
    parameters: dict[str, Attribute] = field(default_factory=dict)
    metrics: dict[str, Delivery] = field(default_factory=dict)
    conditions: dict[str, Attribute] = field(default_factory=dict)
    quants: tuple[str, ...] = ()
    derives: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    predeclared: str = ""
    conflicts: tuple[Conflict, ...] = ()
    templates: tuple[str, ...] = ()
    templates_from: tuple[str, ...] = ()
    platform: str = ""
    executes: bool = True
    why_not: str = ""


# ---------------------------------------------------------------- discovery


@cache
def points(kind: str) -> Mapping[str, Point]:
    """The entry points of all packs of a kind, by name. Raises PluginError if two claim one."""
    found: dict[str, Point] = {}
    for point in sorted(registered(GROUPS[kind])):
        if point.name in found and found[point.name].value != point.value:
            raise PluginError(
                f"two packs register the {kind} {point.name!r}: {found[point.name].value} and {point.value}; "
                "uninstall one of them"
            )
        found[point.name] = point
    return found


@cache
def manifests(kind: str) -> Mapping[str, Manifest]:
    """The manifests of all installed packs of a kind (`target`, `engine` or `meter`), by name; imports no pack.

    Raises PluginError if a manifest is missing or wrong.
    """
    return {name: _manifest(kind, name, point) for name, point in points(kind).items()}


def _manifest(kind: str, name: str, point: Point) -> Manifest:
    try:
        spec = util.find_spec(point.module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise PluginError(f"the {kind} pack {name!r} ({point.value}) is registered but cannot be found; reinstall it")
    path = Path(spec.origin).parent / "manifest.toml"
    try:
        manifest = _validated(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise PluginError(f"the {kind} pack {name!r} has no readable manifest at {path}: {error.strerror}") from error
    except ValueError as error:  # it is not UTF-8, not TOML, or no manifest
        raise PluginError(f"the manifest {path} is wrong: {error}") from error
    if (manifest.kind, manifest.name) != (kind, name):
        raise PluginError(
            f"the manifest {path} is of the {manifest.kind} {manifest.name!r}, registered as {kind} {name!r}"
        )
    return manifest


def _validated(data: dict[str, Any]) -> Manifest:
    """The manifest that a file says. Raises ValueError with what is wrong, in pydantic's words.

    What has just the declared types needs no pydantic, whose import costs more than a whole check.
    """
    try:
        return from_plain(Manifest, data)
    except Misfit:
        from pydantic import TypeAdapter

        return TypeAdapter(Manifest).validate_python(data)


def package(kind: str, name: str) -> str:
    """The package of a pack, by its entry point; imports nothing."""
    return points(kind)[name].module
