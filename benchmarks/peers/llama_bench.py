"""`llama-bench`, built from the source that the installed llama-cpp-python was built from.

In: the installed distribution; its source archive (downloaded by pip, or named by MOBENCH_LLAMA_CPP_SDIST). Out: the
program in the user's cache, under the digest of source, flags, compiler and CPU features; and its samples. It runs on
the shared objects of the installed llama-cpp-python, so that a comparison with it has the same code under both loops.

Needs cmake, a C++ compiler and a few minutes, once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

from mobench_lang import digests
from mobench_lang.engines.llama_cpp import library

FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=ON", "-DCMAKE_SKIP_RPATH=ON",
    "-DLLAMA_OPENSSL=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_TOOLS=ON",
)  # fmt: skip
OWN = ("llama-bench", "libllama-bench-impl", "libllama-common")  # all else comes from the installed package


class CannotBuildError(Exception):
    """llama-bench is not to be had here; the text says why."""


def source() -> Path:
    """The source archive of the installed version."""
    given = os.environ.get("MOBENCH_LLAMA_CPP_SDIST")
    if given:
        return Path(given)
    version = metadata.version(library.DISTRIBUTION)
    folder = digests.user_cache() / "sources"
    found = sorted(folder.glob(f"llama_cpp_python-{version}.tar.gz"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
            "-d",
            str(folder),
        ]
        _run([*download, f"llama-cpp-python=={version}"], "download the source of llama-cpp-python")
        found = sorted(folder.glob(f"llama_cpp_python-{version}.tar.gz"))
    if not found:
        raise CannotBuildError(f"pip left no source archive of llama-cpp-python {version}")
    return found[0]


def program() -> Path:
    """The built `llama-bench`; builds it on the first call."""
    archive = source()
    folder = digests.user_cache() / "llama-bench" / _key(archive)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "llama-bench").is_file():
            _build(archive, folder)
    return folder / "llama-bench"


def _key(archive: Path) -> str:
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False).stdout.partition("\n")[
        0
    ]
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))][
        :1
    ]
    parts = [digests.sha256(archive), *FLAGS, compiler, platform.machine(), *cpu]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _build(archive: Path, folder: Path) -> None:
    if not shutil.which("cmake"):
        raise CannotBuildError("cmake is not installed (`pip install cmake`)")
    with tempfile.TemporaryDirectory(prefix="llama-bench-") as name:
        with tarfile.open(archive) as tar:
            tar.extractall(name, filter="data")
        (tree,) = Path(name).glob("*/vendor/llama.cpp")
        build = Path(name) / "build"
        _run(["cmake", "-S", str(tree), "-B", str(build), *FLAGS], "configure llama-bench")
        _run(
            ["cmake", "--build", str(build), "--target", "llama-bench", "-j", str(os.cpu_count() or 1)],
            "build llama-bench",
        )
        for path in sorted((build / "bin").iterdir(), key=lambda p: p.name == "llama-bench"):  # the program last
            if path.name.startswith(OWN):
                shutil.copy2(path, folder / path.name)


def _run(argv: list[str], what: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise CannotBuildError(f"cannot {what}:\n{tail}")


def environment(binary: Path) -> dict[str, str]:
    """The environment in which the program finds the installed package's shared objects."""
    installed = library.libraries()[0].parent
    return os.environ | {"LD_LIBRARY_PATH": f"{binary.parent}:{installed}"}


def loaded_from(binary: Path) -> str:
    """Where the program's `libllama` comes from, as the dynamic linker says."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True, env=environment(binary))
    return next(
        (line.split("=>")[1].split("(")[0].strip() for line in listed.stdout.splitlines() if "libllama.so" in line), ""
    )


def samples(binary: Path, model: Path, *, prompt: int, output: int, threads: int, repeats: int) -> list[int]:
    """Run one test in a fresh process; ns per repetition."""
    argv = [str(binary), "-m", str(model), "-p", str(prompt), "-n", str(output), "-t", str(threads), "-r", str(repeats)]
    done = subprocess.run(
        [*argv, "-o", "json"], capture_output=True, text=True, check=True, env=environment(binary), timeout=600
    )
    (test,) = json.loads(done.stdout)
    found: list[int] = test["samples_ns"]
    return found
