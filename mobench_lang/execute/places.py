"""Where this host finds what a plan names: `places.json` beside the plan.

In: a verified plan and its build folder. Out: the plan with model files as absolute paths and devices with their
addresses. Neither is part of the plan's digest: the same plan runs on another host with other places.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mobench_lang.execute.errors import BuildError
from mobench_lang.ir import Entity
from mobench_lang.plan.cell import with_attribute
from mobench_lang.plan.model import Plan, PlanArtifact


def placed(plan: Plan, folder: Path) -> Plan:
    """The plan as this host can run it. Raises BuildError if `places.json` is not what `compile` wrote."""
    places = _places(folder / "places.json")
    files, devices = places.get("files", {}), places.get("devices", {})
    try:
        artifacts = tuple(_artifact(a, files, folder) for a in plan.artifacts)
        axes = tuple(
            axis.model_copy(update={"values": tuple(_device(v, devices) for v in axis.values)})
            if axis.name == "device"
            else axis
            for axis in plan.axes
        )
    except (AttributeError, TypeError) as error:
        raise BuildError(f"{folder / 'places.json'} is damaged; compile the spec again") from error
    return plan.model_copy(update={"artifacts": artifacts, "axes": axes})


def _places(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BuildError(f"cannot read {path}: {error}; compile the spec again") from error
    if not isinstance(found, dict):
        raise BuildError(f"{path} is damaged; compile the spec again")
    return found


def _artifact(artifact: PlanArtifact, files: dict[str, str], folder: Path) -> PlanArtifact:
    if artifact.source != "path":
        return artifact
    place = files.get(artifact.model, artifact.location)
    return artifact.model_copy(update={"location": str((folder.resolve() / place).resolve())})


def _device(value: Any, devices: dict[str, dict[str, Any]]) -> Any:
    if not isinstance(value, Entity):
        return value
    for key, address in devices.get(value.name, {}).items():
        value = with_attribute(value, key, address)
    return value
