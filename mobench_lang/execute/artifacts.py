"""The weights that the pending trials need, found before the first trial and once per exec.

In: plan artefacts and engines. Out: verified files, or the reason why one is not to be had. Weights come from the
engine (found, downloaded, derived); nothing is fetched for trials that are finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mobench_lang.execute.devices import Refusal
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError, Engine, Weights


@dataclass(slots=True)
class Artifacts:
    """The weights by (artefact key, engine)."""

    cache: Path
    telling: Callable[[str], None]
    _found: dict[tuple[str, str], Weights | Refusal] = field(default_factory=dict)

    async def get(self, artifact: PlanArtifact, engine: Engine) -> Weights | Refusal:
        """The weights of an artefact for an engine, obtained on first use (in a thread: it may take long)."""
        key = (artifact.key, engine.name)
        if key not in self._found:
            quant = "" if artifact.quant is None else f" {artifact.quant}"
            self.telling(f"{artifact.model}{quant}")
            try:
                self._found[key] = await _in_thread(engine, artifact, self.cache)
            except ArtifactError as error:
                self._found[key] = Refusal("artefact_missing", str(error))
        return self._found[key]

    def obtained(self, artifacts: tuple[PlanArtifact, ...]) -> Iterator[tuple[PlanArtifact, Weights]]:
        """The artefacts that were found so far, in the plan's order."""
        for artifact in artifacts:
            for (key, _), weights in self._found.items():
                if key == artifact.key and not isinstance(weights, Refusal):
                    yield artifact, weights


async def _in_thread(engine: Engine, artifact: PlanArtifact, cache: Path) -> Weights:
    """Obtain in a daemon thread: unlike the event loop's own threads, an interrupted download does not hold the exit
    up."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Weights] = loop.create_future()

    def finish(weights: Weights | None, error: Exception | None) -> None:
        if result.cancelled():
            return
        if weights is not None:
            result.set_result(weights)
        elif error is not None:
            result.set_exception(error)

    def work() -> None:
        weights, failure = None, None
        try:
            weights = engine.obtain(artifact, cache)
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, weights, failure)

    threading.Thread(target=work, daemon=True, name=f"obtain {artifact.key}").start()
    return await result
