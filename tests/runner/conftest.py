"""Fixtures of the runner's tests: the side tools compiled with sanitizers, and the built runners."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "targets" / "runner"
SIDE = ("sample.c", "probe.c", "guard.c")
MAIN = """
#include <string.h>
int sample_main(int, char **);
int probe_main(int, char **);
int guard_main(int, char **);
int main(int argc, char **argv) {
    if (strcmp(argv[1], "--sample") == 0) return sample_main(argc, argv);
    return strcmp(argv[1], "--probe") == 0 ? probe_main(argc, argv) : guard_main(argc, argv);
}
"""
FLAGS = ("-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Wno-missing-field-initializers", "-Werror")


def compiled(folder: Path, *sanitize: str) -> Path:
    """The sampler, the probe and the guard as one program, without llama.cpp."""
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is missing: apt-get install gcc"
    main = folder / "main.c"
    main.write_text(MAIN)
    program = folder / "side-tools"
    sources = [str(SOURCES / name) for name in SIDE]
    subprocess.run([compiler, *FLAGS, *sanitize, f"-I{SOURCES}", str(main), *sources, "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The side tools under AddressSanitizer and UBSan: whatever they do wrong ends them with a trace."""
    return compiled(tmp_path_factory.mktemp("tools"), "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


Describe = Callable[..., Path]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """A description as a file: `describe("sample", hz=100, channels=[…])`."""

    def write(kind: str, **given: Any) -> Path:
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps({"version": 1, **given}))
        return path

    return write


def runner(platform: str) -> Path:
    """The built runner of a platform; the test fails by name where there is none."""
    from mobench_lang.engines.llama_cpp.runner import build

    found = build.find(platform)
    if found is None or found.stale:
        pytest.fail(f"the runner for {platform} is not built from these sources: make runners", pytrace=False)
    return found.path


def qemu() -> str:
    """The user-mode emulator of 64-bit ARM; the test fails by name where there is none."""
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if found is None:
        pytest.fail("qemu-aarch64-static is missing: apt-get install qemu-user-static", pytrace=False)
    return found


def without_capabilities() -> None:
    """For `preexec_fn`: of a root, one that file modes stop and that may signal its own processes alone."""
    for capability in (1, 2, 5):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def as_nobody() -> Callable[[], None] | None:
    """For `preexec_fn`: become a user without rights if the tests run as root, whom no file mode stops."""
    if os.geteuid() != 0:
        return None

    def become() -> None:
        os.setgid(65534)
        os.setuid(65534)

    return become
