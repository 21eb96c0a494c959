"""The engine `echo`: a fixed amount of hashing per token, really done and really timed.

In: artefacts of a plan. Out: weights on the host (any file will do), and how to start
`instrument.py`, which does the work.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.resources import files
from pathlib import Path

from mobench_lang.ir import Entity
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError, Launch, PlatformError, Weights
from mobench_plugin_example.echo import instrument


class Echo:
    """Implements `mobench_lang.plugins.Engine`."""

    name = "echo"

    def build(self, platform: str) -> str:
        """The build line; this engine exists where Python does."""
        if platform != "host":
            raise PlatformError(f"echo runs on this machine only, not on {platform}")
        return instrument.build()

    def obtain(self, artifact: PlanArtifact, cache: Path) -> Weights:
        """The file of the artefact as it is: `echo` reads it, checks its digest and derives nothing."""
        if artifact.source == "path":
            path = Path(artifact.location)
        elif artifact.source == "bundled":
            path = Path(str(files("mobench_specs") / artifact.location))
        else:
            raise ArtifactError(f"echo takes files of this machine, not {artifact.source}: {artifact.location}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{path}: {error.strerror}") from error
        sha256 = hashlib.sha256(content).hexdigest()
        if artifact.sha256 not in (None, sha256):
            raise ArtifactError(f"{path} has the digest {sha256}, the plan says {artifact.sha256}")
        return Weights(path=path, sha256=sha256, size=len(content), note="as it is")

    def pin(self, artifact: PlanArtifact, cache: Path) -> PlanArtifact:
        """Nothing to pin: `echo` takes files of this machine only."""
        raise ArtifactError(f"echo has no hub: it cannot look {artifact.repo} up")

    def launch(self, platform: str, engine: Entity) -> Launch:
        """The instrument as a program: it imports nothing of mobench."""
        return Launch(argv=(sys.executable, instrument.__file__, "{job}", "{events}"), env={})


engine = Echo()
