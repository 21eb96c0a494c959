"""What a build needs from the package index, each once per machine and pinned: the source of llama.cpp, zig, cmake.

In: the cache folder. Out: folders and programs in it. Guarantee: what stands under its final name is whole and, for
the source, has the digest that is written here; two processes at once wait for each other.

The source is that of the llama-cpp-python which this pack uses on the host, so host and devices run one revision.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

from mobench_lang import digests
from mobench_lang.engines.llama_cpp.runner.recipes import ZIG, RecipeError

BINDING = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
"""The published source archive of llama-cpp-python; the same as in .ci/setup.py, which a test holds together."""

ARCHIVE = f"llama_cpp_python-{BINDING}.tar.gz"
WANTED = ("CMakeLists.txt", "LICENSE", "cmake", "common", "ggml", "include", "src", "tools", "vendor")
"""The parts of llama.cpp that a build reads; the others are four fifths of the archive."""

CMAKE, NINJA = "4.4.4", "1.13.2"

Say = Callable[[str], None]


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; the operating system lets it go with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def source(cache: Path, say: Say) -> Path:
    """The folder of llama.cpp's source; downloads and unpacks it on the first call. Raises RecipeError."""
    folder = cache / "runner" / f"llama.cpp-{SHA256[:16]}"
    if folder.is_dir():
        return folder
    with locked(folder.with_suffix(".lock"), lambda: say("another build unpacks llama.cpp; waiting for it")):
        if folder.is_dir():
            return folder
        archive = _archive(cache, say)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="unpacking-") as scratch:
            _unpack(archive, Path(scratch))
            (Path(scratch) / "llama.cpp").rename(folder)
    return folder


def _unpack(archive: Path, scratch: Path) -> None:
    start = f"llama_cpp_python-{BINDING}/vendor/llama.cpp/"
    with tarfile.open(archive) as tar:
        for member in tar:
            inner = member.name.removeprefix(start)
            if member.name.startswith(start) and inner.split("/")[0] in WANTED:
                member.name = f"llama.cpp/{inner}"
                tar.extract(member, scratch, filter="data")


def _archive(cache: Path, say: Say) -> Path:
    given = os.environ.get("MOBENCH_LLAMA_CPP_SDIST")
    path = Path(given) if given else cache / "sources" / ARCHIVE
    if not given and not path.is_file():
        say("downloading the source of llama.cpp (77 MB, once)")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="downloading-") as scratch:
            # no isolation would need the binding's build tools here; pip asks the archive for its metadata
            _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", scratch, f"llama-cpp-python=={BINDING}")
            (Path(scratch) / ARCHIVE).replace(path)
    try:
        found = digests.sha256(path, cache)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    if found != SHA256:
        raise RecipeError(f"{path} is not the source of llama-cpp-python {BINDING}: its sha256 is {found}; remove it")
    return path


def zig(cache: Path, say: Say) -> Path:
    """Zig's compiler of the pinned version: of this Python, or fetched into the cache. Raises RecipeError."""
    from importlib import metadata

    with contextlib.suppress(metadata.PackageNotFoundError):
        spec = util.find_spec("ziglang")
        if metadata.version("ziglang") == ZIG and spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations))) / "zig"
    return _package(cache, say, f"ziglang=={ZIG}", "the compiler (zig, about 100 MB, once)") / "ziglang" / "zig"


def cmake(cache: Path, say: Say) -> Path:
    """A cmake: beside this Python, on the PATH, or fetched into the cache. Raises RecipeError."""
    found = _program("cmake")
    if found is not None:
        return found
    return _package(cache, say, f"cmake=={CMAKE}", "cmake (30 MB, once)") / "cmake" / "data" / "bin" / "cmake"


def ninja(cache: Path, say: Say) -> Path:
    """A ninja, likewise."""
    found = _program("ninja")
    return found if found is not None else _package(cache, say, f"ninja=={NINJA}", "ninja") / "bin" / "ninja"


def _program(name: str) -> Path | None:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    return None if found is None else Path(found)


def _package(cache: Path, say: Say, requirement: str, what: str) -> Path:
    """A package of the index, unpacked into the cache."""
    folder = cache / "runner" / "packages" / requirement.replace("==", "-")
    with locked(folder.with_suffix(".lock"), lambda: say(f"another build fetches {what}; waiting for it")):
        if not folder.is_dir():
            say(f"fetching {what}")
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
                _pip("install", "--no-deps", "--only-binary", ":all:", "--target", f"{scratch}/it", requirement)
                (Path(scratch) / "it").rename(folder)
    return folder


def _pip(*arguments: str) -> None:
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise RecipeError(f"pip cannot fetch {arguments[-1]}:\n{tail}")
