"""The lock file `mobench.lock`: what the sources of models were when they were looked at last.

In: the text of the file. Out: `Lock`, and back to the one text it has. Guarantee: equal locks have equal bytes; nothing
in a lock names this host (no absolute path, no address, no token), and what is read back is well formed: digests and
commits are hexadecimal, file names stay inside of their repository. Reading asks no network.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mobench_lang.frozen import frozen

LOCK_FILE = "mobench.lock"
LOCK_VERSION = 1
MAX_BYTES = 16 * 1024 * 1024

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class HubSource:
    """What a spec asks the hub for: repository, revision and file as they are written, and the quant of the cell.

    Empty: no revision is named, the quant chooses the file, the file is used as published.
    """

    repo: str
    rev: str = ""
    file: str = ""
    quant: str = ""


@frozen
class HubFile:
    """What the hub had for it: the commit and the file there, with its content."""

    commit: str
    file: str
    sha256: str
    size: int


@frozen
class LocalFile:
    """The content of a local file."""

    sha256: str
    size: int


@frozen
class Lock:
    """The content of a lock file. `root` is the folder of the project, where the names of local files start."""

    root: Path | None = None
    hub: Mapping[HubSource, HubFile] = field(default_factory=dict)
    files: Mapping[str, LocalFile] = field(default_factory=dict)

    def local(self, folder: Path | None, file: str) -> LocalFile | None:
        """The entry of a local file that is written in a file of `folder`."""
        name = self.name_of(folder, file) if self.files else None
        return None if name is None else self.files.get(name)

    def name_of(self, folder: Path | None, file: str) -> str | None:
        """How the lock calls a local file: relative to the project. None for what only this host has there.

        Links are not followed: a name is that of the project, wherever its files are kept on a host.
        """
        if self.root is None:
            return None
        written = Path(file).expanduser()
        whole = os.path.normpath((folder or Path()).resolve() / written)
        name = PurePosixPath(Path(os.path.relpath(whole, self.root)).as_posix())
        if written.is_absolute() and ".." in name.parts:
            return None
        return str(name) if str(name).isprintable() else None


NO_LOCK = Lock()


class LockError(Exception):
    """A lock file that cannot be used: why, what to do, and where in its text."""

    def __init__(self, why: str, help_: str, text: str = "", offset: int = 0) -> None:
        super().__init__(why)
        self.why, self.help, self.text, self.offset = why, help_, text, offset


def names_quant(file: str, quant: str) -> bool:
    """Whether a published file is of a quant, by its name: `Q4_K` does not name `Q4_K_M`, nor `F16` `BF16`."""
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(quant)}(?![A-Za-z0-9_])", file, re.IGNORECASE) is not None


def safe_name(name: str) -> bool:
    """Whether the name of a file in a repository can be a path below a folder, and be shown."""
    return name.isprintable() and "\\" not in name and all(p not in ("", ".", "..") for p in name.split("/"))


# ---------------------------------------------------------------- reading


def read(root: Path) -> Lock:
    """The lock of a project, empty where there is none. Raises LockError."""
    path = root / LOCK_FILE
    if not path.exists():
        return Lock(root)
    try:
        if not path.is_file():
            raise LockError("it is no file", f"move {LOCK_FILE} out of the way")
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise LockError(f"it cannot be read ({error.strerror})", "make it readable") from error
    if data is None:
        raise LockError("it is too large", _AGAIN)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LockError("it is not UTF-8 text", _AGAIN) from error
    return parse(text, root)


def parse(text: str, root: Path | None = None) -> Lock:
    """The lock that a text says. Raises LockError."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        merging = re.search(r"^(<{7}|={7}|>{7})", text, re.MULTILINE)
        if merging:
            raise LockError("it holds a merge conflict", "settle it, or " + _AGAIN, text, merging.start()) from error
        raise LockError(f"it is not JSON ({error.msg})", _AGAIN, text, error.pos) from error
    except (RecursionError, ValueError) as error:
        raise LockError("it is not JSON that mobench writes", _AGAIN, text) from error
    version = raw.get("lock_version") if isinstance(raw, dict) else None
    if version != LOCK_VERSION or isinstance(version, bool):
        newer = isinstance(version, int) and version > LOCK_VERSION
        why = f"it has version {version!r}, this mobench reads version {LOCK_VERSION}"
        raise LockError(why, "upgrade mobench" if newer else _AGAIN, text)
    reading = _Reading(text)
    reading.keys(raw, {"files", "hub", "lock_version"}, "the lock")
    hub: dict[HubSource, HubFile] = {}
    files: dict[str, LocalFile] = {}
    for entry in reading.entries(raw["hub"], "hub"):
        source, hub_file = reading.hub(entry)
        if source in hub:
            raise reading.fault(f"two entries for {shown(source)}", source.repo)
        hub[source] = hub_file
    for entry in reading.entries(raw["files"], "files"):
        name, local = reading.file(entry)
        if name in files:
            raise reading.fault(f"two entries for {name}", name)
        files[name] = local
    return Lock(root, hub, files)


_AGAIN = "bring it back from version control, or remove it and run `mobench lock`"


@frozen
class _Reading:
    """One text being read; faults point at the entry as far as it can be found."""

    text: str

    def fault(self, why: str, near: object = "") -> LockError:
        at = self.text.find(json.dumps(near, ensure_ascii=False)) if isinstance(near, str) and near else 0
        return LockError(why, _AGAIN, self.text, max(at, 0))

    def keys(
        self, entry: Mapping[str, Any], known: set[str], what: str, optional: frozenset[str] = frozenset()
    ) -> None:
        for key in sorted(set(entry) - known):
            raise self.fault(f"{what} has an unknown field {key!r}", key)
        for key in sorted(known - set(entry) - optional):
            raise self.fault(f"{what} has no {key!r}")

    def entries(self, value: object, what: str) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(e, dict) for e in value):
            raise self.fault(f"{what!r} is not a list of entries", what)
        return value

    def hub(self, entry: dict[str, Any]) -> tuple[HubSource, HubFile]:
        optional = frozenset({"quant", "wanted_file", "wanted_rev"})
        self.keys(entry, {"commit", "file", "repo", "sha256", "size", *optional}, "an entry of 'hub'", optional)
        near = entry["repo"]
        texts = [entry.get(k, "") for k in ("repo", "wanted_rev", "wanted_file", "quant")]
        if not all(isinstance(t, str) and t.isprintable() for t in texts) or not near:
            raise self.fault("an entry of 'hub' does not say which source it is for", near)
        commit, file = entry["commit"], entry["file"]
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise self.fault(f"the entry of {near} has no commit of 40 hexadecimal digits", near)
        if not isinstance(file, str) or not safe_name(file):
            raise self.fault(f"the entry of {near} names a file that is none of a repository", near)
        sha256, size = self.content(entry, near)
        return HubSource(*texts), HubFile(commit, file, sha256, size)

    def file(self, entry: dict[str, Any]) -> tuple[str, LocalFile]:
        self.keys(entry, {"path", "sha256", "size"}, "an entry of 'files'")
        path = entry["path"]
        if not isinstance(path, str) or not path or not path.isprintable() or path.startswith("/"):
            raise self.fault("an entry of 'files' has no path relative to the project", path)
        return path, LocalFile(*self.content(entry, path))

    def content(self, entry: dict[str, Any], near: str) -> tuple[str, int]:
        sha256, size = entry["sha256"], entry["size"]
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise self.fault(f"the entry of {near} has no sha256 of 64 hexadecimal digits", near)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise self.fault(f"the entry of {near} has no size in bytes", near)
        return sha256, size


# ---------------------------------------------------------------- writing


def render(lock: Lock) -> str:
    """The one text of a lock: one block of lines per entry, in the order of what they are for."""
    hub = [
        {"commit": f.commit, "file": f.file, "repo": s.repo, "sha256": f.sha256, "size": f.size}
        | {k: v for k, v in (("quant", s.quant), ("wanted_file", s.file), ("wanted_rev", s.rev)) if v}
        for s, f in sorted(lock.hub.items(), key=lambda item: item[0])
    ]
    files = [{"path": name, "sha256": f.sha256, "size": f.size} for name, f in sorted(lock.files.items())]
    whole = {"files": files, "hub": hub, "lock_version": LOCK_VERSION}
    return json.dumps(whole, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def shown(source: HubSource) -> str:
    """A source in few words, for people."""
    rev = f"@{source.rev}" if source.rev else ""
    return " ".join(w for w in (source.repo + rev, source.file, source.quant) if w)
