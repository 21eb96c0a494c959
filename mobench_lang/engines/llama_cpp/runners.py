"""The programs beside the worker, per platform: the measuring runner and `llama-bench`; and how the runner is started.

In: a platform, the instrument that a spec asks for, options of the command line. Out: `Launch`, `Made`. Guarantee: only
what was built from today's sources is started; what is missing is an error that names the command that makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobench_lang.engines.llama_cpp.runner.build import Built
    from mobench_lang.plugins import Launch, Made, Report, Work

_GPU = ("cuda", "opencl", "vulkan")
RUNNER = "mobench-runner"
PROGRAMS = {"runner": RUNNER, "llama_bench": "llama-bench"}
"""The programs that can be built, by the value of `tool` that starts them."""


def built(platform: str, program: str = RUNNER) -> Built:
    """A program for a platform; raises PlatformError if it is not there, or is not of today's sources."""
    from mobench_lang.engines.llama_cpp.runner.build import find
    from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT, ELSEWHERE
    from mobench_lang.plugins import PlatformError

    name, option = ("runner", "") if program == RUNNER else (program, " --tool llama_bench")
    if platform not in ABOUT:
        raise PlatformError(f"llama_cpp has no {name} for {platform}; it has: {', '.join(ABOUT)}")
    found = find(platform, program)
    if found is None or found.stale:
        why = "is not built" if found is None else "was built from other sources than these"
        raise PlatformError(
            f"the {name} for {platform} {why}: mobench runner build {ELSEWHERE.get(platform, platform)}{option}"
        )
    return found


def launch(platform: str, tool: str, backend: object) -> Launch:
    """How to start the runner on a platform; raises PlatformError."""
    from mobench_lang.plugins import Launch, PlatformError, Weights

    if tool != "runner":
        raise PlatformError(f"the {tool} runs on the host alone; on {platform} leave `tool` out")
    if backend in _GPU:
        platform = f"{platform.partition('+')[0]}+{backend}"
    found = built(platform)
    program = Weights(found.path, found.sha256, found.size, found.build)
    return Launch(argv=("{runner}", "{job}", "{events}"), env={}, files={"runner": program})


def known(tool: str) -> list[Made]:
    """Every platform, and what is built for it of the program of a `tool`; raises PlatformError."""
    from mobench_lang.engines.llama_cpp.runner.build import find
    from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT
    from mobench_lang.plugins import Made

    program = _program(tool)
    rows = []
    for platform, about in ABOUT.items():
        found = find(platform, program)
        rows.append(Made(platform, "not built", about) if found is None else _made(found))
    return rows


def make(platform: str, options: Mapping[str, str], report: Report) -> Made:
    """Build the runner, or the program of the option `tool`, for a platform; or find it built. Raises PlatformError."""
    from mobench_lang.engines.llama_cpp.runner import build, recipes
    from mobench_lang.plugins import PlatformError

    if options.get("cuda"):
        if platform != "host":
            raise PlatformError(f"--cuda is for the host, where nvcc is; {platform} is built without it")
        platform = "host+cuda"
    ndk = options.get("ndk")
    try:
        program = _program(options.get("tool", ""))
        return _made(build.build(platform, report, program=program, ndk=None if ndk is None else Path(ndk)))
    except recipes.RecipeError as error:
        raise PlatformError(str(error)) from error


def work(platform: str, report: Report) -> Work:
    """What a device has to do to compile the runner for itself; raises PlatformError."""
    from mobench_lang.engines.llama_cpp.runner import elsewhere, recipes
    from mobench_lang.plugins import PlatformError

    try:
        return elsewhere.work(platform, report)
    except recipes.RecipeError as error:
        raise PlatformError(str(error)) from error


def adopt(platform: str, done: Work, program: Path, about: str) -> Made:
    """Take a runner that a device compiled; raises PlatformError."""
    from mobench_lang.engines.llama_cpp.runner import elsewhere, recipes
    from mobench_lang.plugins import PlatformError

    try:
        return _made(elsewhere.adopt(platform, done, program, about))
    except recipes.RecipeError as error:
        raise PlatformError(str(error)) from error


def _program(tool: str) -> str:
    from mobench_lang.plugins import PlatformError

    if tool and tool not in PROGRAMS:
        raise PlatformError(f"there is no program to build for the tool {tool!r}; there is: {', '.join(PROGRAMS)}")
    return PROGRAMS.get(tool, RUNNER)


def _made(found: Built) -> Made:
    from mobench_lang.engines.llama_cpp.runner.recipes import ABOUT
    from mobench_lang.plugins import Made

    return Made(
        platform=found.platform, state="older sources" if found.stale else "built", about=ABOUT[found.platform],
        path=found.path, sha256=found.sha256, size=found.size, build=found.build,
    )  # fmt: skip
