"""A runner that a device compiles for itself, because only there are the compiler and the libraries that it needs: CUDA
on a board.

In: a platform, the user's cache. Out: `Work`, as a device needs it: the same pinned source of llama.cpp, the C files of
the runner, a script; later the program is taken into the cache beside those that were built here. Nothing is compiled
on this machine.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from mobench_lang import __version__, digests
from mobench_lang.engines.llama_cpp.runner import build, fetch
from mobench_lang.engines.llama_cpp.runner.recipes import COMMON, ELSEWHERE, Recipe, RecipeError

if TYPE_CHECKING:
    from mobench_lang.plugins import Report, Weights, Work

SPACE = 4 << 30
"""Sources and objects; those of CUDA are most of it."""
NEEDS = {
    "nvcc": "CUDA's compiler: sudo apt-get install nvidia-jetpack (or cuda-toolkit), or add its folder to PATH",
    "cmake": "cmake of 3.18 or later: sudo apt-get install cmake, or pip3 install cmake where that is older",
    "make": "make: sudo apt-get install build-essential",
    "c++": "a C++ compiler: sudo apt-get install build-essential",
}
LLAMA, RUNNER = "llama.cpp.tar.gz", "runner.tar.gz"

# Told: MB_CUDA_ARCH, the architectures of the device's GPU as cmake has them; empty leaves the choice to llama.cpp.
SCRIPT = """set -eu
version=$(cmake --version | sed -n 's/^cmake version //p')
case $version in
    [012].* | 3.[0-9].* | 3.1[0-7].*)
        echo "cmake here is $version; 3.18 or later is needed: pip3 install cmake" >&2
        exit 65
        ;;
esac
if [ ! -f unpacked ]; then
    rm -rf llama.cpp build
    tar -xzf {llama}
    touch unpacked
fi
rm -rf new && mkdir -p new source && tar -xzf {runner} -C new
for file in source/*; do [ -e "new/${{file#source/}}" ] || rm -f "$file"; done
for file in new/*; do cmp -s "$file" "source/${{file#new/}}" || cp "$file" source/; done
rm -rf new
jobs=$(nproc 2>/dev/null || echo 1)
kib=$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)
most=$((kib / 1572864)) # nvcc takes 1.5 GiB
[ "$most" -ge 1 ] || most=1
[ "$jobs" -le "$most" ] || jobs=$most
set -- {flags} "-DLLAMA_CPP_DIR=$PWD/llama.cpp"
[ -z "${{MB_CUDA_ARCH-}}" ] || set -- "$@" "-DCMAKE_CUDA_ARCHITECTURES=$MB_CUDA_ARCH"
cmake -S source -B build "$@"
cmake --build build --target {program} --parallel "$jobs"
found=build/{program}
[ -f "$found" ] || found=build/bin/{program}
cp "$found" {program}
"""


def work(platform: str, report: Report) -> Work:
    """What a device has to do. Raises RecipeError."""
    from mobench_lang.plugins import Work

    if platform not in ELSEWHERE:
        raise RecipeError(f"there is no runner that a device builds as {platform!r}; there is: {', '.join(ELSEWHERE)}")
    made = build.made_from(build.PROGRAM)
    flags = [
        *COMMON, "-DGGML_NATIVE=ON", "-DGGML_CUDA=ON", "-DLLAMA_BUILD_COMMON=OFF", "-DLLAMA_BUILD_TOOLS=OFF",
        f"-DMOBENCH_VERSION={__version__}", f"'-DMOBENCH_BUILD=llama-cpp-python {fetch.BINDING}, runner {made[:16]}'",
    ]  # fmt: skip
    script = SCRIPT.format(llama=LLAMA, runner=RUNNER, flags=" ".join(flags), program=build.PROGRAM)
    identity = {"from": made, "version": __version__, "script": script}
    tree = {"source": fetch.SHA256, "flags": COMMON}
    cache = digests.user_cache()
    return Work(
        key=_digest(identity), tree=_digest(tree), script=script, program=build.PROGRAM, needs=NEEDS, space=SPACE,
        files={LLAMA: _llama(cache, report), RUNNER: _runner(cache)},
    )  # fmt: skip


def adopt(platform: str, done: Work, program: Path, about: str) -> build.Built:
    """Take a program that a device built into the cache. Raises RecipeError."""
    made = Recipe(platform, (), about)
    return build.adopt(made, done.key, program)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _llama(cache: Path, report: Report) -> Weights:
    folder = fetch.source(cache, lambda text: report(text, 0, 0))
    path = folder.with_name(f"{folder.name}.tar.gz")
    with fetch.locked(path.with_suffix(".lock"), lambda: report("another build packs the source", 0, 0)):
        if not path.is_file():
            report("packing the source of llama.cpp", 0, 0)
            files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
            _pack(path, {f"llama.cpp/{p.relative_to(folder)}": p for p in files})
    return _weights(path, cache)


def _runner(cache: Path) -> Weights:
    path = cache / "runner" / f"runner-{build.made_from(build.PROGRAM)[:16]}.tar.gz"
    if not path.is_file():
        _pack(path, build.sources())
    return _weights(path, cache)


def _pack(path: Path, files: dict[str, Path] | dict[str, bytes]) -> None:
    """An archive that is the same to the byte wherever it is made."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with (
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    part.replace(path)


def _weights(path: Path, cache: Path) -> Weights:
    from mobench_lang.plugins import Weights

    return Weights(path, digests.sha256(path, cache), path.stat().st_size, "packed")
