"""From what specs need to what the lock says of it.

In: needs of benches, a lock. Out: the lock with an entry for each of them, and what became of each. Guarantee: an entry
that is there stays as it is unless it is asked for anew; nothing is written; whatever cannot be looked up is one
`PinError`, so that a lock is made whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from mobench_lang import plugins
from mobench_lang.digests import sha256
from mobench_lang.lockfile import HubFile, HubSource, LocalFile, Lock, shown
from mobench_lang.packs import PluginError
from mobench_lang.plan.artifacts import hub_source, local_path, locate
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plan.needs import Need
from mobench_lang.plugins import ArtifactError

State: TypeAlias = Literal["added", "kept", "updated", "changed", "missing", "removed", "unlockable"]
Ask: TypeAlias = Callable[[Lock], tuple[Need, ...]]


class PinError(Exception):
    """A source cannot be looked up; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one source: `changed` is a local file that is not the locked one, `missing` what has no entry,
    `unlockable` a file that only this host has at its place."""

    source: str
    state: State
    detail: str = ""


def resolve(
    ask: Ask, lock: Lock, cache: Path, *, update: bool, tell: Callable[[str], None]
) -> tuple[Lock, list[Entry]]:
    """The lock with everything that is needed; `ask` says what is needed under a lock, since cells may hang on sizes.

    Raises PinError.
    """
    hub, files = dict(lock.hub), dict(lock.files)
    found: dict[HubSource | OnHost, Entry] = {}
    while True:
        now = Lock(lock.root, hub, files)
        waiting = [(n, need) for need in ask(now) if (n := _name(need, lock)) is not None and n not in found]
        if not waiting:
            return now, list(found.values())
        for name, need in waiting:
            if name in found:
                continue
            if isinstance(name, HubSource):
                found[name] = _hub(need, name, hub, cache, update=update, tell=tell)
            else:
                found[name] = _file(need, name, files, cache, update)


def audit(needed: tuple[Need, ...], lock: Lock, cache: Path) -> list[Entry]:
    """How the lock stands to what is needed; asks nobody."""
    found: dict[HubSource | OnHost, Entry] = {}
    for need in needed:
        name = _name(need, lock)
        if name is None or name in found:
            continue
        if isinstance(name, HubSource):
            known = lock.hub.get(name)
            found[name] = Entry(shown(name), "missing") if known is None else _kept(name, known)
        else:
            found[name] = _audited(need, name, lock.files.get(name.name), cache)
    return list(found.values())


def prune(lock: Lock, hub: set[HubSource], files: set[str]) -> tuple[Lock, list[Entry]]:
    """The lock with these entries only."""
    gone = [Entry(shown(s), "removed") for s in sorted(lock.hub) if s not in hub]
    gone += [Entry(name, "removed") for name in sorted(lock.files) if name not in files]
    left = Lock(
        lock.root, {k: v for k, v in lock.hub.items() if k in hub}, {k: v for k, v in lock.files.items() if k in files}
    )
    return left, gone


@dataclass(frozen=True, slots=True)
class OnHost:
    """A local file: its name in the lock, or as it is written where it can have none."""

    name: str
    lockable: bool


def _name(need: Need, lock: Lock) -> HubSource | OnHost | None:
    """How the lock calls what is needed; None for what is shipped with mobench."""
    match need.source.get("kind"):
        case "hf":
            return hub_source(need.source, need.quant)
        case "path":
            written = str(need.source.get("file"))
            name = lock.name_of(need.folder, written)
            return OnHost(name or written, name is not None)
    return None


# ---------------------------------------------------------------- the hub


def _hub(
    need: Need,
    name: HubSource,
    hub: dict[HubSource, HubFile],
    cache: Path,
    *,
    update: bool,
    tell: Callable[[str], None],
) -> Entry:
    known = hub.get(name)
    if known is not None and not update:
        return _kept(name, known)
    tell(shown(name))
    artifact = _pinned(locate(need.model, need.quant, None).artifact, need, cache)
    if artifact.revision is None or artifact.sha256 is None or artifact.size is None:
        raise PinError(f"{shown(name)}: the engine does not say which file it is")
    hub[name] = HubFile(artifact.revision, artifact.location, artifact.sha256, artifact.size)
    if known == hub[name]:
        return _kept(name, known)
    return Entry(shown(name), "added" if known is None else "updated", _detail(hub[name]))


def _pinned(artifact: PlanArtifact, need: Need, cache: Path) -> PlanArtifact:
    """The artefact as the first engine that can look it up says."""
    faults: list[str] = []
    for pack in need.engines:
        try:
            return plugins.engine(pack).pin(artifact, cache)
        except (ArtifactError, PluginError) as error:
            faults.append(str(error))
    raise PinError(f"model {artifact.model}: " + "; ".join(faults))


def _kept(name: HubSource, file: HubFile) -> Entry:
    return Entry(shown(name), "kept", _detail(file))


def _detail(file: HubFile) -> str:
    return f"{file.file} at {file.commit[:12]}, {file.size:,} bytes"


# ---------------------------------------------------------------- local files


def _file(need: Need, file: OnHost, files: dict[str, LocalFile], cache: Path, update: bool) -> Entry:
    known = files.get(file.name)
    if not file.lockable or (known is not None and not update):
        return _audited(need, file, known, cache)
    now = _content(need, cache)
    if now is None:
        raise PinError(f"there is no file {file.name}, which model {need.model.name} names; it cannot be locked")
    files[file.name] = now
    if known == now:
        return Entry(file.name, "kept", f"{now.size:,} bytes")
    return Entry(file.name, "added" if known is None else "updated", f"{now.size:,} bytes")


def _audited(need: Need, file: OnHost, known: LocalFile | None, cache: Path) -> Entry:
    if not file.lockable:
        return Entry(file.name, "unlockable", "only this host has it at an absolute path outside of the project")
    if known is None:
        return Entry(file.name, "missing")
    now = _content(need, cache)
    if now is not None and now != known:
        return Entry(file.name, "changed", f"sha256 {now.sha256[:12]}, locked is {known.sha256[:12]}")
    return Entry(file.name, "kept", f"{known.size:,} bytes" + ("" if now else ", not here"))


def _content(need: Need, cache: Path) -> LocalFile | None:
    path = local_path(need.source, need.folder)
    try:
        if path is None or not path.is_file():
            return None
        return LocalFile(sha256(path, cache), path.stat().st_size)
    except OSError as error:
        raise PinError(f"{path} cannot be read: {error.strerror}") from error
