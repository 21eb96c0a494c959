"""The instruments beside the worker: the measuring runner and llama-bench, per platform, and how they are started.

In: a platform, the tool that a spec asks for, options of the command line. Out: `Launch` and `Made`. Guarantee: only
what was built from today's sources is started; what is missing is an error that names the command that makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobench_lang.engines.llama_cpp.runner.build import Built
    from mobench_lang.plugins import Launch, Made, Report

_GPU = ("cuda", "opencl", "vulkan")
_PROGRAMS = {"runner": "mobench-runner", "llama_bench": "llama-bench"}


def built(platform: str, tool: str) -> Built:
    """The program of a tool for a platform; raises PlatformError if it is not there, or is not of today's sources."""
    from mobench_lang.engines.llama_cpp.runner.build import find
    from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT
    from mobench_lang.plugins import PlatformError

    if platform not in ABOUT:
        raise PlatformError(f"llama_cpp has no runner for {platform}; it has: {', '.join(ABOUT)}")
    found = find(platform, _PROGRAMS[tool])
    if found is None or found.stale:
        extra = "" if tool == "runner" else f" --tool {tool}"
        why = "is not built" if found is None else "was built from other sources than these"
        raise PlatformError(f"the {tool} for {platform} {why}: mobench runner build {platform}{extra}")
    return found


def launch(platform: str, tool: str, backend: object) -> Launch:
    """How to start a tool on a platform; raises PlatformError."""
    from mobench_lang.plugins import Launch, PlatformError, Weights

    if tool not in _PROGRAMS:
        raise PlatformError(f"{tool} runs on the host alone; on {platform} the tools are: {', '.join(_PROGRAMS)}")
    if backend in _GPU:
        platform = f"{platform.partition('+')[0]}+{backend}"
    names = {"runner"} if tool == "runner" else {"runner", tool}
    files = {}
    for name in sorted(names):
        found = built(platform, name)
        files[name] = Weights(found.path, found.sha256, found.size, found.build)
    if tool == "runner":
        return Launch(argv=("{runner}", "{job}", "{events}"), env={}, files=files)
    return Launch(argv=("{runner}", "--llama-bench", f"{{{tool}}}", "{job}", "{events}"), env={}, files=files)


def known() -> list[Made]:
    """Every platform of the runner, and what is built for it."""
    from mobench_lang.engines.llama_cpp.runner.build import find
    from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT
    from mobench_lang.plugins import Made

    rows = []
    for platform, about in ABOUT.items():
        found = find(platform)
        rows.append(Made(platform, "not built", about) if found is None else _made(found))
    return rows


def make(platform: str, options: Mapping[str, str], report: Report) -> Made:
    """Build a tool for a platform, or find it built; raises PlatformError."""
    from mobench_lang.engines.llama_cpp.runner import build, recipes
    from mobench_lang.plugins import PlatformError

    tool = options.get("tool", "runner")
    if tool not in _PROGRAMS:
        raise PlatformError(f"there is no tool {tool!r} to build; there is: {', '.join(_PROGRAMS)}")
    if options.get("cuda"):
        if platform != "host":
            raise PlatformError(f"--cuda is for the host, where nvcc is; {platform} is built without it")
        platform = "host+cuda"
    ndk = options.get("ndk")
    try:
        return _made(build.build(platform, report, program=_PROGRAMS[tool], ndk=None if ndk is None else Path(ndk)))
    except recipes.RecipeError as error:
        raise PlatformError(str(error)) from error


def _made(found: Built) -> Made:
    from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT
    from mobench_lang.plugins import Made

    return Made(
        platform=found.platform, state="older sources" if found.stale else "built", about=ABOUT[found.platform],
        path=found.path, sha256=found.sha256, size=found.size, build=found.build,
    )  # fmt: skip
