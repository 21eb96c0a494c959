"""The engine `llama_cpp`: llama.cpp on this machine, through llama-cpp-python, on devices, through the runner, and on
either through its own `llama-bench`.

In: plan artefacts and resolved engine values. Out: verified weights, and how the worker is started. Importing this
package loads neither the library nor anything else that is heavy: weights are quantized and measured in processes of
their own, and those import this package too, so the core's models are imported where they are used (70 ms and 5 MB
that a worker does not need).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mobench_lang.engines.llama_cpp import library, runners

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mobench_lang.ir import Entity
    from mobench_lang.plan.model import PlanArtifact
    from mobench_lang.plugins import Finding, Launch, Made, Report, StockTool, Weights, Work
    from mobench_lang.protocol import Job

HOST = "host"
WORKER, RUNNER, LLAMA_BENCH = "worker", "runner", "llama_bench"
"""The instruments: the worker in this Python, the runner in C, llama.cpp's own tool."""


class LlamaCpp:
    """The engine plug-in; also a `Maker`, a `Completer`, and one of `StockTools`."""

    name = "llama_cpp"

    def build(self, platform: str) -> str:
        """Version, commit and digest of the installed library, or of the runner of a device; raises PlatformError."""
        from mobench_lang.plugins import PlatformError

        if platform != HOST:
            return runners.built(platform).build
        try:
            return library.build()
        except library.LibraryMissingError as error:
            raise PlatformError(str(error)) from error

    def obtain(self, artifact: PlanArtifact, cache: Path) -> Weights:
        """The weights of an artefact as a GGUF file; raises ArtifactError."""
        from mobench_lang.engines.llama_cpp import artifacts

        return artifacts.obtain(artifact, cache)

    def pin(self, artifact: PlanArtifact, cache: Path) -> PlanArtifact:
        """The file of the hub that is meant today, without downloading it; raises ArtifactError."""
        from mobench_lang.engines.llama_cpp import artifacts

        return artifacts.pin(artifact, cache)

    def complete(self, job: Job, platform: str, engine: Entity, weights: Weights) -> Job:
        """Conversations rendered for the runner; the worker renders its own. Raises RefusedError."""
        if _tool(platform, engine) == WORKER:
            return job
        from mobench_lang.engines.llama_cpp import rendering

        return rendering.rendered(job, weights.path)

    def launch(self, platform: str, engine: Entity) -> Launch:
        """On the host the worker of this package in this Python, elsewhere the runner; raises PlatformError."""
        from mobench_lang.plugins import Launch

        tool = _tool(platform, engine)
        if tool != WORKER or platform != HOST:
            return runners.launch(platform, tool, engine.get("backend"))
        self.build(platform)
        # -P: the folder that mobench is called from must not shadow a module of the worker
        worker = ("-P", "-m", "mobench_lang.engines.llama_cpp.worker", "{job}", "{events}")
        return Launch(argv=(sys.executable, *worker), env={"PYTHONUNBUFFERED": "1"})

    def diagnose(self, where: Path) -> list[Finding]:  # noqa: ARG002
        """Which build it is, and whether it computes here."""
        from mobench_lang.engines.llama_cpp import selftest
        from mobench_lang.plugins import Finding

        build, wrong = Finding("build", "ok", self.build(HOST)), selftest.fault()
        if wrong:
            return [build, Finding("self-test", "bad", wrong, selftest.HELP)]
        return [build, Finding("self-test", "ok", f"computes {selftest.QUANT}")]

    def stock(self, engine: Entity) -> StockTool | None:
        """`llama-bench`, where an engine value asks for it."""
        if engine.get("tool") != LLAMA_BENCH:
            return None
        from mobench_lang.engines.llama_cpp.llama_bench.tool import tool

        return tool(engine)

    def instruments(self, tool: str = "") -> list[Made]:
        """The programs of a tool that can be built; the runners without one."""
        return runners.known(tool)

    def make(self, platform: str, options: Mapping[str, str], report: Report) -> Made:
        """Build a runner, or what the option `tool` names; raises PlatformError."""
        return runners.make(platform, options, report)

    def work(self, platform: str, report: Report) -> Work:
        """What a device has to do to compile the runner for itself; raises PlatformError."""
        return runners.work(platform, report)

    def adopt(self, platform: str, done: Work, program: Path, about: str) -> Made:
        """Take a runner that a device compiled; raises PlatformError."""
        return runners.adopt(platform, done, program, about)


def _tool(platform: str, engine: Entity) -> str:
    return str(engine.get("tool") or (WORKER if platform == HOST else RUNNER))


engine = LlamaCpp()
