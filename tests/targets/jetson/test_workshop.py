"""`mobench runner build jetson --on`: the commands that a board is given, the files that come there, every fault; then
a spec that asks for CUDA runs what was built."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mobench_targets.linux.virtual import VirtualBoard

from mobench_lang import digests
from mobench_lang.engines.llama_cpp.runner import build
from tests.conftest import Golden
from tests.support.boards import story
from tests.support.ready import gone
from tests.support.runs import journal
from tests.targets.jetson.test_runner import CACHE

TOOLS = Path(__file__).parents[2] / "support" / "board_tools"
SPEC = """mobench 1
use "std/models" { tiny }
device orin { target = jetson, host = "board", class = edge, ram = 8GiB }
bench study {
  model = tiny
  quant = Q8_0
  engine = llama_cpp { backend = cuda }
  device = orin
  workload = generate(prompt = 16, output = 8)
  run { warmup = 0, repeat = 1 }
  measure decode_rate
}
"""


class Desk:
    """A host with a cache of its own, whose ssh knows the board; the board has the stand-ins of CUDA's tools."""

    def __init__(self, folder: Path, board: VirtualBoard) -> None:
        self.folder, self.board = folder, board
        (folder / "home/.ssh").mkdir(parents=True)
        (folder / "home/.ssh/config").write_text((board.folder / "ssh_config").read_text())
        known = Path(CACHE.get("MOBENCH_CACHE", digests.user_cache())) / "runner"
        cache = folder / "cache" / "runner"
        cache.mkdir(parents=True)
        for path in known.glob("llama.cpp-*"):
            (cache / path.name).symlink_to(path)
        shutil.copytree(known / "built/linux-arm64+dotprod", cache / "built/linux-arm64+dotprod")
        self.env = os.environ | {"HOME": str(folder / "home"), "MOBENCH_CACHE": str(folder / "cache")}
        shutil.copy(TOOLS / "cmake.sh", board.folder / "bin/cmake")
        (board.folder / "cuda/bin").mkdir(exist_ok=True)
        (board.folder / "cuda/bin/nvcc").write_text("#!/bin/sh\n")
        for tool in ("bin/cmake", "cuda/bin/nvcc"):
            (board.folder / tool).chmod(0o755)
        (board.folder / "program").write_text("#!/bin/sh\nexit 0\n")

    async def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mobench_lang.cli.main", *words]
        return await asyncio.to_thread(
            subprocess.run, command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )

    async def build(self) -> subprocess.CompletedProcess[str]:
        return await self.type("runner", "build", "jetson", "--on", "board")

    def commands(self) -> str:
        """What cmake was told, with what is of this machine and of today's sources taken out."""
        text = (self.board.folder / "cmake.log").read_text().replace(str(self.board.folder), "BOARD")
        made = build.made_from(build.PROGRAM)[:16]
        [tree] = (self.board.folder / "mobench/build").iterdir()
        return re.sub(r"--parallel \d+", "--parallel N", text.replace(made, "SOURCES").replace(tree.name, "TREE"))


@pytest.fixture(scope="module", autouse=True)
def source() -> None:
    """The source of llama.cpp, where `make runners` unpacked it."""
    known = Path(CACHE.get("MOBENCH_CACHE", digests.user_cache())) / "runner"
    if not list(known.glob("llama.cpp-*/ggml")):
        pytest.fail("the source of llama.cpp is not there; `make runners` brings it")


def test_a_board_builds_once_what_a_spec_then_runs(tmp_path: Path, golden: Golden) -> None:
    async def told(board: VirtualBoard) -> None:
        desk = Desk(tmp_path, board)
        (tmp_path / "study.bench").write_text(SPEC)
        assert (await desk.type("compile", "study.bench")).returncode == 0
        # Nothing is built yet: the row says what to type.
        await desk.type("exec", "--simulate", "orin=orin-nano")
        [run] = (tmp_path / "runs").glob("study-*")
        [skip] = journal(run, "skip")
        assert skip["reason"] == "no_engine"
        assert "mobench runner build jetson --on [USER@]HOST[:PORT]" in skip["detail"]
        # What stands for the compiler makes the runner of the CPU.
        cpu = (await desk.type("runner", "path", "linux-arm64+dotprod")).stdout.strip()
        shutil.copy(cpu, board.folder / "program")

        done = await desk.build()
        assert done.returncode == 0, done.stderr
        assert "compiling on the board" in done.stderr
        golden("targets/jetson_build_commands.txt", desk.commands())
        made = (await desk.type("runner", "path", "linux-arm64+cuda")).stdout.strip()
        assert Path(made).read_bytes() == (board.folder / "program").read_bytes()
        # Again: nothing is compiled.
        (board.folder / "cmake.log").unlink()
        assert (await desk.build()).returncode == 0
        assert not (board.folder / "cmake.log").exists()
        # It is what the spec runs, under the backend that it asks for.
        await desk.type("exec", "--fresh", "--simulate", "orin=orin-nano")
        ends = [end for run in (tmp_path / "runs").glob("study-*") for end in journal(run, "end")]
        assert [end["reason"] for end in ends] == ["engine_error"]
        assert "no cuda device" in ends[0]["detail"]

    story(tmp_path, "orin-nano", told)


@pytest.mark.parametrize("fault", ["nvcc", "old", "broken"])
def test_what_a_board_lacks_is_said(tmp_path: Path, golden: Golden, fault: str) -> None:
    async def told(board: VirtualBoard) -> None:
        desk = Desk(tmp_path, board)
        if fault == "nvcc":
            (board.folder / "cuda/bin/nvcc").unlink()
        elif fault == "old":
            (board.folder / "cmake_version").write_text("3.10.2\n")
        else:
            (board.folder / "broken").touch()
        done = await desk.build()
        assert done.returncode == 2
        said = [line for line in done.stderr.splitlines() if not line.startswith("jetson: ")]
        text = "\n".join(said).replace(str(board.folder), "BOARD")
        for folder in (board.folder / "mobench/build").glob("*"):
            text = text.replace(folder.name, "TREE")
        golden(f"targets/jetson_build_{fault}.txt", text + "\n")

    story(tmp_path, "orin-nano", told)


def test_no_space_for_a_build(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        desk = Desk(tmp_path, board)
        (board.folder / "bin/df").write_text("#!/bin/sh\necho 'tmpfs 9000000 8990000 10000 99% /'\n")
        (board.folder / "bin/df").chmod(0o755)
        done = await desk.build()
        assert done.returncode == 2 and "4096 MiB" in done.stderr and "9 MiB are free" in done.stderr

    story(tmp_path, "orin-nano", told)


def test_a_cut_does_not_end_the_compiler_and_an_interrupt_does(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        desk = Desk(tmp_path, board)
        go = board.folder / "go"
        os.mkfifo(go)
        first = asyncio.create_task(desk.build())
        pid = await asyncio.to_thread(compiling, board)
        board.cut()
        done = await first
        assert done.returncode == 2 and "is gone" in done.stderr
        os.kill(pid, 0)
        # Typed again, it goes on with what is under way; an interrupt ends it.
        command = [sys.executable, "-m", "mobench_lang.cli.main", "runner", "build", "jetson", "--on", "board"]
        again = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=desk.env, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        assert again.stderr is not None
        while b"compiling on the board 1/100" not in await again.stderr.readline():
            assert again.returncode is None
        again.send_signal(signal.SIGINT)
        await again.wait()
        assert await asyncio.to_thread(gone, pid)
        # And from the beginning, to the end.
        go.unlink()
        assert (await desk.build()).returncode == 0

    story(tmp_path, "orin-nano", told)


def compiling(board: VirtualBoard) -> int:
    """The process of the builder, once cmake waits at the gate."""
    pipe = board.folder / "cmake.log"
    while not pipe.exists() or "--build" not in pipe.read_text():
        pass
    [tree] = (board.folder / "mobench/build").iterdir()
    return int((tree / "pid").read_text())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("linux-arm64+cuda",), "is built on a device: mobench runner build jetson --on [USER@]HOST[:PORT]"),
        (("linux", "--on", "board"), "leave --on out"),
        (("jetson", "linux", "--on", "board"), "one runner on one device"),
        (("jetson", "--on", "board:port"), "is no address"),
        (("jetson", "--on", "no-such-host.invalid"), "nobody knows a host"),
    ],
)
def test_what_cannot_be_built_on_a_device(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    command = [sys.executable, "-m", "mobench_lang.cli.main", "runner", "build", *words]
    env = os.environ | {"HOME": str(tmp_path)} | CACHE
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and says in done.stderr
