"""The engine `llama_cpp`: llama.cpp on this machine, through llama-cpp-python.

In: plan artefacts and resolved engine values. Out: verified weights, and how the worker is started. Importing this
package loads neither the library nor anything else that is heavy: weights are quantized and measured in processes of
their own, and those import this package too, so the core's models are imported where they are used (70 ms and 5 MB
that a worker does not need).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mobench_lang.engines.llama_cpp import library

if TYPE_CHECKING:
    from mobench_lang.ir import Entity
    from mobench_lang.plan.model import PlanArtifact
    from mobench_lang.plugins import Launch, Weights
    from mobench_lang.protocol import Job

HOST = "host"


class LlamaCpp:
    """The engine plug-in."""

    name = "llama_cpp"

    def build(self, platform: str) -> str:
        """Version, commit and digest of the installed library; raises PlatformError."""
        from mobench_lang.plugins import PlatformError

        if platform != HOST:
            raise PlatformError(
                f"llama_cpp on {platform} needs the measuring runner for it; this pack runs on the host"
            )
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

    def complete(self, job: Job, platform: str, weights: Weights) -> Job:
        """Conversations rendered for the runner of devices; the worker of this machine renders its own. Raises
        RefusedError."""
        if platform == HOST:
            return job
        from mobench_lang.engines.llama_cpp import rendering

        return rendering.rendered(job, weights.path)

    def launch(self, platform: str, engine: Entity) -> Launch:  # noqa: ARG002
        """The worker of this package in this Python; raises PlatformError."""
        from mobench_lang.plugins import Launch

        self.build(platform)
        # -P: the folder that mobench is called from must not shadow a module of the worker
        worker = ("-P", "-m", "mobench_lang.engines.llama_cpp.worker", "{job}", "{events}")
        return Launch(argv=(sys.executable, *worker), env={"PYTHONUNBUFFERED": "1"})


engine = LlamaCpp()
