"""How the runner is built: what is asked for and cannot be, the flags of recipes, and objects for iOS."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from mobench_lang import digests, plugins
from mobench_lang.engines.llama_cpp import library, runners
from mobench_lang.engines.llama_cpp.runner import build, fetch
from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT, IOS, Recipe, RecipeError, recipe
from tests.runner.conftest import SOURCES
from tests.support.runner_program import VERSION

SIDE_TOOLS = {"sample", "probe", "guard"}


def refused(platform: str, **options: str) -> str:
    """What is said of a build that cannot be; nothing is compiled before that is known."""
    with pytest.raises(plugins.PlatformError) as told:
        runners.make(platform, options, lambda _what, _done, _all: None)
    return str(told.value)


@pytest.fixture
def ndk(tmp_path: Path) -> Path:
    """The two files of an NDK that a recipe looks at."""
    folder = tmp_path / "an ndk"
    (folder / "build/cmake").mkdir(parents=True)
    (folder / "build/cmake/android.toolchain.cmake").write_text("# a stand-in\n")
    (folder / "source.properties").write_text("Pkg.Desc = Android NDK\nPkg.Revision = 27.2.12479018\n")
    return folder


def test_an_ndk_is_for_gpu_backends(ndk: Path) -> None:
    said = refused("android-arm64+vulkan")
    assert "needs Android's NDK: mobench runner build android-arm64+vulkan --ndk PATH" in said
    assert "linux-arm64 is built without one" in refused("linux-arm64", ndk=str(ndk))
    assert "android-arm64 is built without one" in refused("android-arm64", ndk=str(ndk))


def test_a_folder_that_is_no_ndk(ndk: Path) -> None:
    where = str(ndk)
    (ndk / "source.properties").unlink()
    assert "is no NDK: source.properties cannot be read: No such file" in refused("android-arm64+opencl", ndk=where)
    (ndk / "build/cmake/android.toolchain.cmake").unlink()
    assert "is no NDK: it has no build/cmake/android.toolchain.cmake" in refused("android-arm64+opencl", ndk=where)
    assert "is no NDK" in refused("android-arm64+opencl", ndk="/nowhere/at all")


@pytest.mark.parametrize(("backend", "flag"), [("opencl", "-DGGML_OPENCL=ON"), ("vulkan", "-DGGML_VULKAN=ON")])
def test_what_an_ndk_is_told(ndk: Path, backend: str, flag: str) -> None:
    chosen = recipe(f"android-arm64+{backend}", ndk=ndk)
    assert {f"-DCMAKE_TOOLCHAIN_FILE={ndk}/build/cmake/android.toolchain.cmake", flag} <= set(chosen.flags)
    assert "27.2.12479018" in chosen.compiler  # another NDK makes another runner
    assert chosen.zig is None


def test_cuda_is_for_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "--cuda is for the host, where nvcc is" in refused("linux-arm64", cuda="yes")
    for name in ("cc", "c++"):
        (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "--cuda needs NVIDIA's compiler: nvcc is not on the PATH" in refused("host", cuda="yes")
    (tmp_path / "nvcc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "nvcc").chmod(0o755)
    assert "--cuda needs cuBLAS: " in refused("host", cuda="yes")


def test_no_runner_for_that() -> None:
    said = refused("amiga")
    assert "there is no runner for 'amiga'; there is: " in said
    assert all(platform in said for platform in ABOUT)


def test_an_app_has_no_llama_bench() -> None:
    assert "there is no llama-bench for ios-arm64" in refused("ios-arm64", tool="llama_bench")


def test_equal_recipes_share_a_tree() -> None:
    assert recipe("android-arm64").identity == recipe("linux-arm64").identity
    others = [recipe(name).identity for name in ("linux-arm64", "linux-arm64+dotprod", "linux-x86_64", IOS[0])]
    assert all(a != b for i, a in enumerate(others) for b in others[:i])
    with pytest.raises(RecipeError):
        recipe("linux-arm64+sve")


def test_checkouts_with_other_sources_share_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOBENCH_CACHE", str(tmp_path / "cache"))
    program = tmp_path / "mobench-runner"

    def found(sources: str) -> tuple[bytes, bool]:
        monkeypatch.setattr(build, "made_from", lambda _program: sources)
        there = build.find("linux-arm64")
        assert there is not None
        return there.path.read_bytes(), there.stale

    for sources in ("one", "two"):
        program.write_text(sources)
        monkeypatch.setattr(build, "made_from", lambda _program, now=sources: now)
        build.adopt(Recipe("linux-arm64", (), "a compiler"), f"key of {sources}", program)
    assert found("one") == (b"one", False)
    assert found("two") == (b"two", False)
    assert found("three") == (b"two", True)  # the newest there is


def test_the_measuring_program_compiles_for_ios(tmp_path: Path) -> None:
    """As in `mobench runner build ios-arm64`, without llama.cpp's own minutes: objects that say they are of iOS."""
    chosen = recipe(IOS[0])
    assert chosen.zig is not None
    cache = digests.user_cache()
    (words,) = [flag.partition("=")[2].split() for flag in chosen.flags if flag.startswith("-DCMAKE_C_FLAGS=")]
    command = [
        str(fetch.zig(cache, print)), "cc", "-target", chosen.zig[0], f"-mcpu={chosen.zig[1]}", *words, "-std=c11",
        "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror", "-D_GNU_SOURCE", "-DMOBENCH_OBJECTS",
        *VERSION, f"-I{library.package().parent / 'include'}", "-c",
    ]  # fmt: skip
    env = os.environ | dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(cache / "runner" / "zig"))
    made = {}
    for source in sorted(SOURCES.glob("*.c")):
        if source.stem in SIDE_TOOLS:
            continue
        out = tmp_path / f"{source.stem}.o"
        done = subprocess.run(
            [*command, str(source), "-o", str(out)], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        made[source.stem] = out.read_bytes()
    assert len(made) == 10
    assert all(build_platform(data) == 2 for data in made.values())  # PLATFORM_IOS of mach-o/loader.h
    assert b"_task_info" in made["memory"] and b"phys_footprint" in made["memory"]
    assert b"_mobench_launch" in made["main"] and b"_main\0" not in made["main"]


def build_platform(data: bytes) -> int:
    """The platform in the build version of a 64-bit Mach-O file."""
    magic, commands = struct.unpack_from("<I12xI", data)
    assert magic == 0xFEEDFACF
    at = 32
    for _ in range(commands):
        command, size, platform = struct.unpack_from("<III", data, at)
        if command == 0x32:
            return int(platform)
        at += size
    raise AssertionError("no build version")
