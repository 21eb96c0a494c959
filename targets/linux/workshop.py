"""A board that compiles a program for itself: what is needed is brought there, the compiler runs detached and is
followed, the program is fetched.

In: a link, `Work`. Out: the program as a file of the host. Guarantee: a work that is done, or under way, is not begun
again: a lost connection costs nothing but the command to type once more; an interrupt ends the compiler; objects stay
under `build/` of mobench's folder there, so that the next version of the program takes less.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from functools import partial
from pathlib import Path
from shlex import quote

from mobench_targets.linux.board import ROOT
from mobench_targets.shell.store import Store
from mobench_targets.shell.transport import Transport

from mobench_lang.plugins import DeviceError, Report, Work

POLL_S = 1.0
TAIL = 15
_STEP = re.compile(r"\[ *(\d+)(?:/(\d+)|%)\]")
_LACKS, _NO_ROOM = 3, 4
_BAR = "----mobench----"

_PATH = 'PATH="$PATH:${MB_CUDA:-/usr/local/cuda}/bin:$HOME/.local/bin"; export PATH\n'
_LOOK = """mkdir -p {folder} || exit 73
for program in {needs}; do command -v "$program" >/dev/null 2>&1 || {{ echo "$program"; lacks=1; }}; done
[ -z "${{lacks-}}" ] || exit 3
free=$(df -k {folder} | awk 'END {{ for (i = 1; i <= NF; i++) if ($i ~ /%$/) {{ print $(i - 1); exit }} }}')
[ -f {folder}/key ] || [ "$free" -ge {kib} ] || {{ echo "$free"; exit 4; }}
c++ --version 2>/dev/null | head -n 1
"""
# A process is the builder's if its command line has the folder's name: a number alone may be another's.
_STATE = """cd {folder} || exit 66
alive() {{ [ -f pid ] && read -r pid <pid && grep -q {mark} "/proc/$pid/cmdline" 2>/dev/null; }}
"""
_BEGIN = """if alive; then exit 0; fi
[ "$(cat key 2>/dev/null)" != {key} ] || [ ! -f {program} ] || exit 0
rm -f rc key pid {program}
cat >work.sh <<'{end}' || exit 74
{script}
{end}
cat >build.sh <<'{end}' || exit 74
{path}{before}
cd {folder}
sh work.sh
rc=$?
[ "$rc" != 0 ] || echo {key} >key
echo "$rc" >rc.part && mv -f rc.part rc
{end}
{links}
setsid sh {folder}/build.sh </dev/null >build.log 2>&1 &
echo $! >pid
tries=0 # what was only just started has the command line of this shell until it becomes another program
until alive || [ -f rc ] || [ "$tries" = 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"""
_FOLLOW = """if alive; then
    echo running
elif [ -f {program} ] && [ "$(cat key 2>/dev/null)" = {key} ]; then
    echo done
else
    echo "over $(cat rc 2>/dev/null)"
fi
echo {bar}
tail -c 4000 build.log 2>/dev/null
"""


class Builder:
    """One work on one board. `before` are lines of sh that tell the script what the board is."""

    def __init__(self, link: Transport, work: Work, before: str) -> None:
        self._link, self._work, self._before = link, work, before
        self._folder = ""

    async def run(self, out: Path, report: Report) -> str:
        """Do it; what compiled it. Raises DeviceError."""
        root = await self._root()
        self._folder = f"{root}/build/{self._work.tree}"
        compiler = await self._look()
        store = Store(self._link, root)
        digests = {file.sha256 for file in self._work.files.values()}
        links = []
        for name, file in self._work.files.items():
            uploaded = partial(_uploading, report, file.size)
            path = await store.put(file, digests, progress=uploaded)
            links.append(f"ln -sf {quote(path)} {quote(name)}")
        await self._begin(links)
        try:
            await self._follow(report)
        except asyncio.CancelledError:
            await self._sh('if alive; then kill -TERM "-$pid" || kill -TERM "$pid"; fi')
            raise
        report("fetching the program", 0, 0)
        await self._fetch(out)
        return compiler

    async def _root(self) -> str:
        ran = await self._link.run(f'echo "${{MB_ROOT:-$HOME/{ROOT[2:]}}}"')
        if ran.rc != 0 or not ran.text.startswith("/"):
            raise DeviceError("no_root", f"the board does not say where its home is: {ran.fault}")
        return ran.text

    async def _look(self) -> str:
        """The compiler of the board, where all that is needed is there."""
        needs = " ".join(map(quote, self._work.needs))
        words = {"folder": quote(self._folder), "needs": needs, "kib": self._work.space >> 10}
        ran = await self._link.run("sh", stdin=(_PATH + _LOOK.format(**words)).encode())
        if ran.rc == _LACKS:
            lacking = [f"{name} ({self._work.needs[name]})" for name in ran.text.split() if name in self._work.needs]
            raise DeviceError("missing_programs", "the board lacks " + "; ".join(lacking))
        if ran.rc == _NO_ROOM:
            free = int(ran.text) >> 10 if ran.text.isdigit() else 0
            raise DeviceError(
                "no_space",
                f"building takes {self._work.space >> 20} MiB in {self._folder}, {free} MiB are free; delete something",
            )
        if ran.rc != 0:
            raise DeviceError("build_failed", f"{self._folder} cannot be made on the board: {ran.fault}")
        return ran.text or "the board's compiler"

    async def _sh(self, script: str) -> str:
        state = _STATE.format(folder=quote(self._folder), mark=quote(self._work.tree))
        ran = await self._link.run("sh", stdin=(state + script + "\n").encode())
        if ran.rc != 0:
            full = b"No space left" in ran.stderr
            raise DeviceError("no_space" if full else "build_failed", f"{self._folder} on the board: {ran.fault}")
        return ran.text

    async def _begin(self, links: list[str]) -> None:
        end = f"END_{self._work.key}"
        words = {"key": self._work.key, "program": quote(self._work.program), "folder": quote(self._folder)}
        text = _BEGIN.format(
            **words, end=end, script=self._work.script, path=_PATH, before=self._before, links="\n".join(links)
        )
        await self._sh(text)

    async def _follow(self, report: Report) -> None:
        """Until the end. Raises DeviceError with the last of the log where it is not the wanted one."""
        words = {"key": self._work.key, "program": quote(self._work.program), "bar": _BAR}
        while True:
            said, _, log = (await self._sh(_FOLLOW.format(**words))).partition(_BAR)
            if said.strip() == "done":
                return
            if said.strip() != "running":
                tail = "\n".join(log.strip().splitlines()[-TAIL:])
                status = said.strip().removeprefix("over").strip()
                why = f"exit status {status}" if status else "it was ended, or the board started anew"
                raise DeviceError(
                    "build_failed", f"{tail}\nthe build failed ({why}); the whole log is {self._folder}/build.log there"
                )
            steps = _STEP.findall(log)
            done, total = (int(steps[-1][0]), int(steps[-1][1] or 100)) if steps else (0, 0)
            report("compiling on the board", done, total)
            await asyncio.sleep(POLL_S)

    async def _fetch(self, out: Path) -> None:
        there = f"{self._folder}/{self._work.program}"
        await self._link.pull(there, out)
        ran = await self._link.run(f"sha256sum <{quote(there)}")
        digest = await asyncio.to_thread(lambda: hashlib.sha256(out.read_bytes()).hexdigest())
        if ran.text.split()[:1] != [digest]:
            raise DeviceError("pull_failed", f"{there} arrived with other content; try again")


def _uploading(report: Report, size: int, done: int) -> None:
    report("bringing the source, MiB", done >> 20, size >> 20)
