"""Files on the device, by their content: `store/<sha256>`.

In: a file of the host with its digest. Out: its path on the device. Guarantee: a file of the store is whole and was
hashed on the device when it came there; what is there already costs one short command and no bytes; nothing that the
plan still needs is thrown out, the rest goes by last use; a push that cannot fit is refused before it begins.

Beside each file stands `<sha256>.ok`: size and time of change when it was hashed, itself touched at each use. The
arithmetic is the host's, because a phone's shell counts with 32 bits.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from mobench_targets.shell.transport import Progress, Transport

from mobench_lang.plugins import DeviceError, Weights

QUOTA = 64 << 30
"""Bytes that the store takes at most."""
SPARE = 64 << 20
"""Bytes that stay free: launches write there, and a full device behaves badly."""

_CHECK = """cd {store} 2>/dev/null && [ -f {name} ] || exit 3
[ -f {name}.ok ] && read -r ok <{name}.ok && [ "$ok" = "$(stat -c '%s %Y' {name})" ] || exit 4
touch {name}.ok && echo "$ok"
"""
_ROOM = """mkdir -p {store} && cd {store} || exit 73
rm -f ./*.part
df -k . | tail -n 1
for ok in *.ok; do [ ! -f "${{ok%.ok}}" ] || stat -c '%n %Y' "$ok"; done
echo --
for file in *; do [ ! -f "$file" ] || stat -c '%n %s' "$file"; done
"""
_HASH = """for sum in sha256 sha1 md5; do
    for box in '' 'toybox ' 'busybox '; do
        if $box${{sum}}sum </dev/null >/dev/null 2>&1; then echo $sum; $box${{sum}}sum <{path}; exit; fi
    done
done
exit 69
"""
_ADOPT = """cd {store} && chmod {mode:o} {part} && mv -f {part} {name} &&
stat -c '%s %Y' {name} >{name}.ok.part && mv -f {name}.ok.part {name}.ok
"""


@dataclass(frozen=True, slots=True)
class _Room:
    """What there is: free bytes, and the store's files with size, in the order of their last use."""

    free: int
    sizes: dict[str, int]


class Store:
    """The store of one device."""

    def __init__(self, link: Transport, root: str, quota: int = QUOTA) -> None:
        self._link = link
        self.folder = f"{root}/store"
        self._quota = quota

    async def put(
        self, file: Weights, needed: Collection[str], *, program: bool = False, progress: Progress | None = None
    ) -> str:
        """The path of a file on the device, which is brought there if need be; `needed` are digests that must stay.

        Raises DeviceError: `no_space`, `push_failed`, `changed_on_the_way`, `artefact_missing`, `lost`.
        """
        path, mode = f"{self.folder}/{file.sha256}", 0o755 if program else 0o644
        words: dict[str, str | int] = {"store": quote(self.folder), "name": file.sha256, "mode": mode}
        there = await self._link.run(_CHECK.format(**words))
        if there.rc == 0 and there.text.split()[:1] == [str(file.size)]:
            return path
        if there.rc == 4 and await self._same(path, file):  # its note was lost, or its time has changed
            await self._adopt(words, file.sha256)
            return path
        if not file.path.is_file():
            raise DeviceError("artefact_missing", f"{file.path} is gone; run exec again to obtain it")
        await self._make_room(file, {*needed, file.sha256})
        part = f"{file.sha256}.part"
        try:
            await self._link.push(file.path, f"{self.folder}/{part}", mode=mode, progress=progress)
            if not await self._same(f"{self.folder}/{part}", file):
                raise DeviceError(
                    "changed_on_the_way", f"{file.path.name} arrived with other content; check the cable, try again"
                )
        except DeviceError as error:
            if error.code != "lost":
                await self._link.run(f"rm -f {quote(f'{self.folder}/{part}')}")
            raise
        await self._adopt(words, part)
        return path

    async def _adopt(self, words: dict[str, str | int], part: str) -> None:
        command = _ADOPT if part != words["name"] else _ADOPT.replace("mv -f {part} {name} &&", "", 1)
        ran = await self._link.run(command.format(**words, part=part))
        if ran.rc != 0:
            raise DeviceError("push_failed", f"{self.folder} cannot be written: {ran.fault}")

    async def _same(self, path: str, file: Weights) -> bool:
        """Whether a file of the device has the content. Before Android 8 there is no sha256sum: then by a digest that
        the host computes as well; the instrument hashes the weights once more."""
        ran = await self._link.run(_HASH.format(path=quote(path)), timeout=None)
        if ran.rc == 69:
            raise DeviceError("no_hash", "the device has none of sha256sum, sha1sum and md5sum; install one")
        words = ran.text.split()
        if ran.rc != 0 or len(words) < 2:
            raise DeviceError("push_failed", f"{path} cannot be read on the device: {ran.fault}")
        kind, found = words[0], words[1]
        return found == (file.sha256 if kind == "sha256" else await asyncio.to_thread(_digest, file.path, kind))

    async def _make_room(self, file: Weights, needed: Collection[str]) -> None:
        room = await self._room()
        others = sum(size for name, size in room.sizes.items() if name != file.sha256)
        over = max(file.size + SPARE - room.free - room.sizes.get(file.sha256, 0), others + file.size - self._quota)
        evicted: list[str] = []
        if file.sha256 in room.sizes:
            evicted.append(file.sha256)  # it is there with other content
        for name, size in room.sizes.items():
            if over <= 0:
                break
            if name not in needed:
                evicted.append(name)
                over -= size
        if over > 0:
            raise DeviceError("no_space", self._no_space(file, room, others))
        if evicted:
            names = " ".join(f"{quote(name)} {quote(name)}.ok" for name in evicted)
            await self._link.run(f"cd {quote(self.folder)} && rm -f -- {names}")

    def _no_space(self, file: Weights, room: _Room, others: int) -> str:
        if file.size > self._quota or (others + file.size > self._quota and room.free > file.size + SPARE):
            return (
                f"{file.path.name} ({_mib(file.size)}) does not fit: the store may take {_mib(self._quota)} and holds "
                f"{_mib(others)} that this plan needs; raise the quota or measure fewer models at once"
            )
        return (
            f"{file.path.name} needs {_mib(file.size + SPARE)} on the device, {_mib(room.free)} are free and the store "
            f"({self.folder}) holds {_mib(others)}; delete something there"
        )

    async def _room(self) -> _Room:
        ran = await self._link.run(_ROOM.format(store=quote(self.folder)))
        lines = ran.text.splitlines()
        if ran.rc != 0 or not lines:
            raise DeviceError("push_failed", f"{self.folder} cannot be made on the device: {ran.fault}")
        used: dict[str, int] = {}
        sizes: dict[str, int] = {}
        into = used
        for line in lines[1:]:
            if line == "--":
                into = sizes
            elif (words := line.rsplit(" ", 1)) and len(words) == 2 and words[1].isdigit():
                into[words[0]] = int(words[1])
        files = {name: size for name, size in sizes.items() if not name.endswith((".ok", ".part"))}
        order = sorted(files, key=lambda name: (used.get(f"{name}.ok", 0), name))
        return _Room(_free(lines[0]), {name: files[name] for name in order})


def _free(line: str) -> int:
    """Free bytes of a line of `df -k`: the number before the percentage. Raises DeviceError for another shape."""
    words = line.split()
    for at, word in enumerate(words):
        if word.endswith("%") and at > 0 and words[at - 1].isdigit():
            return int(words[at - 1]) * 1024
    raise DeviceError("push_failed", f"`df -k` on the device says {line!r}; how much is free cannot be known")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
