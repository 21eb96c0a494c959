"""Compile the runner or `llama-bench` for a platform, or find the one that is there.

In: a recipe, the C sources of `mobench_targets.runner` (as data), the user's cache. Out: one program. Guarantee: what
stands under a key was built whole from exactly that key's inputs (C sources, source of llama.cpp, flags, compiler,
and the processor's features for `host`); a build that is killed leaves nothing under it; of two builds of one platform
the second waits. The objects of llama.cpp stay in a tree of their own, so that a change of the runner costs seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mobench_lang import __version__, digests
from mobench_lang.engines.llama_cpp.runner import fetch
from mobench_lang.engines.llama_cpp.runner.recipes import IOS, SAME, Recipe, RecipeError, recipe

SOURCES = "mobench_targets.runner"
PROGRAM, STOCK = "mobench-runner", "llama-bench"
_STEP = re.compile(r"^\[ *(\d+)(?:/(\d+)|%)\]")

Report = Callable[[str, int, int], None]
"""What a build says while it works: a step in words, and how many of how many are done (0, 0 where that is unknown)."""


@dataclass(frozen=True, slots=True)
class Built:
    """A program that is there; `build` is it in one line, `stale` that today's sources would make another one."""

    platform: str
    program: str
    path: Path
    sha256: str
    size: int
    build: str
    stale: bool


def sources() -> dict[str, bytes]:
    """The C sources by name."""
    wanted = (".c", ".h", "CMakeLists.txt")
    files = resources.files(SOURCES).iterdir()
    return {f.name: f.read_bytes() for f in sorted(files, key=lambda f: f.name) if f.name.endswith(wanted)}


def made_from(program: str) -> str:
    """The digest of what a program is compiled from, whatever the platform."""
    total = hashlib.sha256(fetch.SHA256.encode())
    if program == PROGRAM:
        for name, content in sources().items():
            total.update(f"\0{name}\0{hashlib.sha256(content).hexdigest()}".encode())
    return total.hexdigest()


def find(platform: str, program: str = PROGRAM) -> Built | None:
    """The newest program that was built for a platform from today's sources, else from any; None if there is none.
    Compiles and asks nothing."""
    return _newest(platform, _home(SAME.get(platform, platform), program), made_from(program))


def build(platform: str, report: Report, *, program: str = PROGRAM, ndk: Path | None = None) -> Built:
    """The program for a platform, compiled if need be. Raises RecipeError with the end of the log."""
    chosen = recipe(platform, ndk=ndk)
    if program == STOCK and platform == IOS[0]:
        raise RecipeError(f"there is no {STOCK} for {platform}: an app has the runner's objects alone")
    made = made_from(program)
    parts = {"from": made, "program": program, "version": __version__, **chosen.identity}
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    home = _home(chosen.platform, program)

    def say(text: str) -> None:
        report(text, 0, 0)

    # One lock per platform, not per key or program: a tree has one builder, and the newest is the newest.
    with fetch.locked(
        home.parent / "lock", lambda: say(f"another build for {chosen.platform} is at work; waiting for it")
    ):
        home.mkdir(exist_ok=True)
        if not (home / key / "build.json").is_file():
            _install(home / key, _compile(chosen, program, say, report), program, chosen, made)
        _point(home, key, made)
        found = _newest(platform, home, made)
    if found is None:
        raise RecipeError(f"{home / key} was damaged; remove it and build again")
    return found


def adopt(made: Recipe, key: str, binary: Path, program: str = PROGRAM) -> Built:
    """Take a program that was compiled elsewhere, from today's sources, as the newest. Raises RecipeError."""
    home = _home(made.platform, program)
    wanted = made_from(program)
    with fetch.locked(home.parent / "lock", lambda: None):
        home.mkdir(parents=True, exist_ok=True)
        _install(home / key, binary, program, made, wanted)
        _point(home, key, wanted)
        found = _newest(made.platform, home, wanted)
    if found is None:
        raise RecipeError(f"{home / key} was damaged; remove it and build again")
    return found


def _home(platform: str, program: str) -> Path:
    return digests.user_cache() / "runner" / "built" / platform / program


def _newest(platform: str, home: Path, wanted: str) -> Built | None:
    """Several checkouts share a cache: each finds what was built from its own sources."""
    return _read(platform, _pointer(home, wanted), wanted) or _read(platform, home / "newest.json", wanted)


def _pointer(home: Path, made: str) -> Path:
    return home / f"newest-{made[:16]}.json"


def _read(platform: str, pointer: Path, wanted: str) -> Built | None:
    try:
        folder = pointer.parent / json.loads(pointer.read_bytes())["key"]
        said = json.loads((folder / "build.json").read_bytes())
        path = folder / said["program"]
        if path.stat().st_size != said["size"]:
            return None
        return Built(
            platform, said["program"], path, said["sha256"], said["size"], said["build"], said["from"] != wanted
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _point(home: Path, key: str, made: str) -> None:
    temporary = home / f"newest.{os.getpid()}.tmp"
    for place in (home / "newest.json", _pointer(home, made)):
        temporary.write_text(json.dumps({"key": key}) + "\n", "utf-8")
        temporary.replace(place)


def _install(folder: Path, binary: Path, program: str, chosen: Recipe, made: object) -> None:
    """Put the program under its key, all at once."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        copy = whole / binary.name
        shutil.copyfile(binary, copy)
        copy.chmod(0o755)
        sha256 = hashlib.sha256(copy.read_bytes()).hexdigest()
        first = chosen.compiler.partition("\n")[0].strip()
        line = f"{program} of llama-cpp-python {fetch.BINDING} for {chosen.platform}, {first}, sha256:{sha256[:16]}"
        said = {"program": binary.name, "sha256": sha256, "size": copy.stat().st_size, "build": line, "from": made}
        (whole / "build.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        whole.rename(folder)


# ---------------------------------------------------------------- compiling


def _compile(chosen: Recipe, program: str, say: fetch.Say, report: Report) -> Path:
    """Bring the platform's tree up to date; the program in it."""
    cache = digests.user_cache()
    identity = json.dumps({"source": fetch.SHA256, **chosen.identity}, sort_keys=True)
    tree = cache / "runner" / "trees" / f"{chosen.platform}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    llama = fetch.source(cache, say)
    cmake, ninja = fetch.cmake(cache, say), fetch.ninja(cache, say)
    _write_sources(tree / "source")
    said = f"llama-cpp-python {fetch.BINDING}, runner {made_from(program)[:16]}"
    tools = "ON" if program == STOCK else "OFF"
    flags = [
        *chosen.flags, f"-DLLAMA_CPP_DIR={llama}", f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DLLAMA_BUILD_COMMON={tools}",
        f"-DLLAMA_BUILD_TOOLS={tools}", f"-DMOBENCH_VERSION={__version__}", f"-DMOBENCH_BUILD={said}",
    ]  # fmt: skip
    if chosen.zig is not None:
        flags += _wrappers(tree / "tools", fetch.zig(cache, say), *chosen.zig)
    # Zig keeps its own objects (the C library) in a cache; ours, so that it can be removed with the rest.
    env = {"ZIG_GLOBAL_CACHE_DIR": str(cache / "runner" / "zig"), "ZIG_LOCAL_CACHE_DIR": str(cache / "runner" / "zig")}
    log = tree / "build.log"
    log.write_bytes(b"")
    run = Run(log, env, report)
    run.step("configuring", [cmake, "-G", "Ninja", "-S", tree / "source", "-B", tree / "build", *flags])
    run.step(
        "compiling", [cmake, "--build", tree / "build", "--target", program, "--parallel", str(os.cpu_count() or 1)]
    )
    places = [
        tree / "build" / program,
        tree / "build" / "bin" / program,
        tree / "build" / "llama.cpp" / "bin" / program,
        tree / "build" / f"lib{program}.a",
    ]
    binary = next((p for p in places if p.is_file()), None)
    if binary is None:
        raise RecipeError(f"the build made no {program}; the whole log is {log}")
    return binary


def _write_sources(folder: Path) -> None:
    """The C sources as files; what is unchanged keeps its time, so that it is not compiled again."""
    wanted = sources()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def _wrappers(folder: Path, zig: Path, triple: str, cpu: str) -> list[str]:
    """Zig as the four programs that cmake knows; their paths go into scripts of one line."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {"cc": f" -target {triple} -mcpu={cpu}", "c++": f" -target {triple} -mcpu={cpu}", "ar": "", "ranlib": ""}
    quoted = "'" + str(zig).replace("'", "'\\''") + "'"
    for tool, extra in words.items():
        path = folder / f"zig-{tool}"
        text = f'#!/bin/sh\nexec {quoted} {tool}{extra} "$@"\n'
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
        path.chmod(0o755)
    names = {"CMAKE_C_COMPILER": "cc", "CMAKE_CXX_COMPILER": "c++", "CMAKE_AR": "ar", "CMAKE_RANLIB": "ranlib"}
    return [f"-D{name}={folder / f'zig-{tool}'}" for name, tool in names.items()]


@dataclass(slots=True)
class Run:
    """The programs of one build: output to a log, progress to the caller, and no orphans."""

    log: Path
    env: Mapping[str, str]
    report: Report

    def step(self, what: str, argv: list[str | Path]) -> None:
        """Run one program to its end. Raises RecipeError with the end of what it said."""
        self.report(what, 0, 0)
        with self.log.open("ab") as log:
            log.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
            start = log.tell()
            process = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env={**os.environ, **self.env}, start_new_session=True,
            )  # fmt: skip
            try:
                assert process.stdout is not None  # noqa: S101 - a pipe was asked for
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    found = _STEP.match(line.decode("utf-8", "replace"))
                    if found:
                        self.report(what, int(found[1]), int(found[2] or 100))
                status = process.wait()
            except BaseException:  # an interrupt above all: compilers end with the build
                _end(process)
                raise
        if status != 0:
            tail = self.log.read_bytes()[start:].decode("utf-8", "replace").splitlines()[-15:]
            raise RecipeError("\n".join([*tail, f"{what}: exit status {status}; the whole log is {self.log}"]))


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + 5
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()
