"""Which weights a bench needs, and what identifies them.

In: the model and quant of each cell, and the lock. Out: `PlanArtifact`s, and where local files lie. Guarantee: a file
that is locked is identified by the content that the lock says, whatever is here now; another local file that is there
by its content, and what is not known by its source text; no absolute path enters a plan.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, cast

from mobench_lang.digests import sha256
from mobench_lang.ir import Entity, Record
from mobench_lang.lockfile import NO_LOCK, HubSource, Lock
from mobench_lang.plan.digest import canonical_json
from mobench_lang.plan.model import PlanArtifact


@dataclass(frozen=True, slots=True)
class Located:
    """An artefact and, for a local file, where it lies on this host."""

    artifact: PlanArtifact
    path: Path | None


def locate(model: Entity, quant: str | None, folder: Path | None, lock: Lock = NO_LOCK) -> Located:
    """The artefact of a model in a format; `folder` is where the relative paths of its source start."""
    source = model.get("source")
    assert isinstance(source, Record)  # noqa: S101 - the checker requires a source
    kind = cast(Literal["path", "bundled", "hf"], source.get("kind"))
    path = local_path(source, folder)
    hub = lock.hub.get(hub_source(source, quant)) if kind == "hf" else None
    known = hub or (lock.local(folder, _location(source)) if kind == "path" else None)
    digest: str | None = None
    size: int | None = None
    if known is not None:
        digest, size = known.sha256, known.size
    elif path is not None and path.is_file():
        digest, size = sha256(path), path.stat().st_size
    requantize = model.get("requantize") is True
    identity = {
        "source": digest or dict(source.fields),
        "quant": quant,
        "requantize": requantize,
    }
    artifact = PlanArtifact(
        key=hashlib.sha256(canonical_json(identity)).hexdigest(),
        model=model.name,
        quant=quant,
        source=kind,
        location=_location(source) if hub is None else hub.file,
        repo=_text(source, "repo"),
        revision=_text(source, "rev") if hub is None else hub.commit,
        sha256=digest,
        size=size,
        requantize=requantize,
    )
    return Located(artifact, path.resolve() if path is not None and kind == "path" else None)


def hub_source(source: Record, quant: str | None) -> HubSource:
    """How the lock calls the hub source of a model in a format."""
    repo, rev, file = (_text(source, key) or "" for key in ("repo", "rev", "file"))
    return HubSource(repo, rev, file, quant or "")


def _text(source: Record, key: str) -> str | None:
    value = source.get(key)
    return value if isinstance(value, str) else None


def _location(source: Record) -> str:
    """The file as the spec names it; empty for a hub file that the quant chooses."""
    return _text(source, "file") or _text(source, "name") or ""


def local_path(source: Record, folder: Path | None) -> Path | None:
    """Where the file of a source lies on this host, None for one of the hub."""
    location = _location(source)
    match source.get("kind"):
        case "path":
            return (folder or Path()) / Path(location).expanduser()
        case "bundled":
            return Path(str(resources.files("mobench_specs").joinpath(*location.split("/"))))
    return None
