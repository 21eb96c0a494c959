"""How the runner is compiled for a platform: flags of cmake, compiler, and what the result depends on.

In: the name of a platform and what the caller has (an NDK). Out: a `Recipe`. Guarantee: whatever changes the binary is
in the recipe's `identity`, so equal identities may share a build tree. Nothing is compiled here.

The static builds for Linux and Android come from zig's compiler with musl: one file that runs on any Android or Linux
of that processor, without a loader and without an NDK. What it cannot do is open a driver's library, so GPU backends
are built with the NDK. The flags are those that docs/adr/0021-runner-build.md gives reasons for.
"""

from __future__ import annotations

import platform as host
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ZIG = "0.17.1"
PAGE = "-Wl,-z,max-page-size=16384"
"""Android from 15 on may have pages of 16 KiB, and loads only what is aligned to them."""

COMMON = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_CCACHE=OFF", "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
)  # fmt: skip
PORTABLE = ("-DGGML_NATIVE=OFF", "-DGGML_OPENMP=OFF", "-DGGML_LLAMAFILE=OFF")

_DOTPROD = "generic+v8_2a+dotprod+fullfp16"
ZIG_TARGETS = {
    "linux-arm64": ("aarch64-linux-musl", "generic"),
    "linux-arm64+dotprod": ("aarch64-linux-musl", _DOTPROD),
    "linux-x86_64": ("x86_64-linux-musl", "x86_64"),
}
"""Platform -> zig's target and processor. The x86 build is the baseline that every 64-bit processor has: SSE2."""

SAME = {"android-arm64": "linux-arm64", "android-arm64+dotprod": "linux-arm64+dotprod"}
"""Platforms whose binary is that of another one: a static binary does not know whether it runs on Android."""

IOS = ("ios-arm64", "arm64-apple-ios15.0.0")
"""Zig has Darwin's headers but no target for iOS that finds them; Clang's own option makes the objects those of iOS."""

NDK_BACKENDS = {"android-arm64+opencl": "-DGGML_OPENCL=ON", "android-arm64+vulkan": "-DGGML_VULKAN=ON"}
ABOUT = {
    "host": "this machine and its processor",
    "host+cuda": "this machine, with CUDA (`host --cuda`; needs nvcc)",
    "linux-arm64": "any 64-bit ARM board, static",
    "linux-arm64+dotprod": "boards whose processor has `asimddp` and `asimdhp`, static",
    "linux-arm64+cuda": "Jetson boards, with CUDA, built there (`jetson --on HOST`)",
    "linux-x86_64": "any 64-bit x86 board, static, SSE2 only",
    "android-arm64": "any 64-bit Android phone, static",
    "android-arm64+dotprod": "phones whose processor has `asimddp` and `asimdhp`, static",
    "ios-arm64": "objects for an iOS app, compile-checked: never linked, never run",
    "android-arm64+opencl": "Android with OpenCL (needs --ndk)",
    "android-arm64+vulkan": "Android with Vulkan (needs --ndk)",
}


ELSEWHERE = {"linux-arm64+cuda": "jetson --on [USER@]HOST[:PORT]"}
"""Platforms whose devices compile for themselves, and the words behind `mobench runner build` that make them."""


class RecipeError(Exception):
    """The runner cannot be built so; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build for one platform. `zig` is its target and processor where zig compiles."""

    platform: str
    flags: tuple[str, ...]
    compiler: str
    features: str = ""
    zig: tuple[str, str] | None = None

    @property
    def identity(self) -> Mapping[str, object]:
        """All that decides about the objects, apart from the sources."""
        return {"flags": self.flags, "compiler": self.compiler, "features": self.features, "zig": self.zig}


def recipe(platform: str, *, ndk: Path | None = None) -> Recipe:
    """The recipe of a platform; raises RecipeError."""
    if platform not in ABOUT:
        raise RecipeError(f"there is no runner for {platform!r}; there is: {', '.join(ABOUT)}")
    if platform in ELSEWHERE:
        raise RecipeError(f"{platform} is built on a device: mobench runner build {ELSEWHERE[platform]}")
    name = SAME.get(platform, platform)
    if ndk is not None and name not in NDK_BACKENDS:
        raise RecipeError(f"--ndk is for {' and '.join(NDK_BACKENDS)}; {platform} is built without one")
    if name in ZIG_TARGETS:
        return _static(name)
    if name == IOS[0]:
        return _ios()
    return _ndk(name, ndk) if name in NDK_BACKENDS else _host(name)


def _static(name: str) -> Recipe:
    triple, cpu = ZIG_TARGETS[name]
    flags: tuple[str, ...] = (
        *COMMON, *PORTABLE, "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={triple.partition('-')[0]}",
        # -g0: zig's driver adds debug information, which makes objects five times larger and is stripped anyway
        "-DCMAKE_C_FLAGS=-g0", "-DCMAKE_CXX_FLAGS=-g0", f"-DCMAKE_EXE_LINKER_FLAGS=-static -s {PAGE}",
    )  # fmt: skip
    if triple.startswith("x86_64"):
        names = ("SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C")
        flags += tuple(f"-DGGML_{n}=OFF" for n in names)
    return Recipe(name, flags, f"zig {ZIG}", zig=(triple, cpu))


def _ios() -> Recipe:
    """The CPU alone: Metal's and Accelerate's headers are in Apple's SDK only."""
    words = f"-g0 -Xclang -triple -Xclang {IOS[1]}"
    flags = (
        *COMMON, *PORTABLE, "-DCMAKE_SYSTEM_NAME=Darwin", "-DCMAKE_SYSTEM_PROCESSOR=arm64",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY", f"-DCMAKE_C_FLAGS={words}", f"-DCMAKE_CXX_FLAGS={words}",
        "-DCMAKE_INSTALL_NAME_TOOL=true",  # asked for, and never run: nothing is linked
        "-DGGML_METAL=OFF", "-DGGML_ACCELERATE=OFF", "-DGGML_BLAS=OFF", "-DMOBENCH_OBJECTS=ON",
    )  # fmt: skip
    return Recipe(IOS[0], flags, f"zig {ZIG}", zig=("aarch64-macos", "apple_a12"))


NO_AMX = "-U__AMX_INT8__"
"""GCC drops most of the tile configuration that this llama.cpp hands to AMX: a quantized model would end with SIGSEGV
(ggml-org/llama.cpp#20824, #26954). `make setup` builds the binding likewise, so both instruments compute alike."""


def _host(name: str) -> Recipe:
    cc, cxx = _found("cc", "gcc", "clang"), _found("c++", "g++", "clang++")
    link = "-s" if host.system() == "Linux" else ""
    flags = [
        *COMMON, "-DGGML_NATIVE=ON", f"-DCMAKE_C_COMPILER={cc}", f"-DCMAKE_CXX_COMPILER={cxx}",
        f"-DCMAKE_C_FLAGS={NO_AMX}", f"-DCMAKE_CXX_FLAGS={NO_AMX}", f"-DCMAKE_EXE_LINKER_FLAGS={link}",
    ]  # fmt: skip
    compiler = _output(cxx, "--version")
    if name == "host+cuda":
        nvcc = shutil.which("nvcc")
        if nvcc is None:
            raise RecipeError("--cuda needs NVIDIA's compiler: nvcc is not on the PATH (often /usr/local/cuda/bin)")
        if not _output(nvcc, "-E", "-x", "cu", "-include", "cublas_v2.h", "/dev/null"):
            raise RecipeError(f"--cuda needs cuBLAS: {nvcc} finds no cublas_v2.h; install its development files")
        flags += ["-DGGML_CUDA=ON", f"-DCMAKE_CUDA_COMPILER={nvcc}"]
        compiler += _output(nvcc, "--version")
    # the compiler's own macros under -march=native say which instructions it will use
    features = _output(cxx, "-march=native", "-dM", "-E", "-x", "c++", "/dev/null") or host.processor()
    return Recipe(name, tuple(flags), compiler, features)


def _ndk(name: str, ndk: Path | None) -> Recipe:
    if ndk is None:
        raise RecipeError(f"{name} needs Android's NDK: mobench runner build {name} --ndk PATH")
    toolchain = ndk.absolute() / "build" / "cmake" / "android.toolchain.cmake"
    if not toolchain.is_file():
        raise RecipeError(f"{ndk} is no NDK: it has no build/cmake/android.toolchain.cmake")
    try:
        properties = (ndk / "source.properties").read_text("utf-8", "replace")
    except OSError as error:
        raise RecipeError(f"{ndk} is no NDK: source.properties cannot be read: {error.strerror}") from error
    flags = (
        *COMMON, *PORTABLE, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DANDROID_ABI=arm64-v8a",
        "-DANDROID_PLATFORM=android-28", "-DANDROID_STL=c++_static", NDK_BACKENDS[name],
        f"-DCMAKE_EXE_LINKER_FLAGS=-s {PAGE}",
    )  # fmt: skip
    return Recipe(name, flags, properties)


def _found(*names: str) -> str:
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    raise RecipeError(f"no compiler is on the PATH ({', '.join(names)}); on Debian: apt-get install gcc g++")


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RecipeError(f"{argv[0]} cannot be started: {error.strerror}") from error
    return done.stdout if done.returncode == 0 else ""
