"""`stage`: a device's folder of a build, made whole for a person who runs it by hand.

In: a verified build, a device of it, a platform. Out: a folder with the device's scripts, the weights under `models/`,
the programs that the instrument needs, and jobs that lack nothing: the digests of the weights, conversations rendered.
Guarantee: the folder is there whole or not at all; the build stays as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mobench_lang import packs, plugins
from mobench_lang.execute.errors import StoreError, UsageError, storing
from mobench_lang.execute.instruments import stock
from mobench_lang.execute.load import Build, axis_index
from mobench_lang.ir import Entity
from mobench_lang.packs import PluginError
from mobench_lang.plan.cell import artifact_of, resolve
from mobench_lang.plan.lower import JOBS
from mobench_lang.plugins import ArtifactError, Completer, Engine, Launch, PlatformError, RefusedError, Weights
from mobench_lang.protocol import Job


def stage(
    build: Build, device: str, out: Path, *, cache: Path, platform: str | None, telling: Callable[[str], None]
) -> str:
    """Make the folder `out`; the platform that it is for. Raises ExecError."""
    index, entity = _device(build, device)
    manifest = packs.manifests("target")[entity.pack]
    platform = platform or manifest.platform
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise UsageError(f"{out} is not empty; choose another folder with -o")
    with storing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        with storing(out):
            shutil.copytree(build.scripts(device), scratch, dirs_exist_ok=True)
            (scratch / "models").mkdir()
            _jobs(build, index, scratch, cache=cache, platform=platform, telling=telling)
            scratch.chmod(0o755)
            with suppress(FileNotFoundError):
                out.rmdir()
            scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return platform


def _device(build: Build, name: str) -> tuple[int, Entity]:
    """The index and the entity of a device that has scripts. Raises UsageError."""
    axis = build.plan.axes[axis_index(build.plan, "device")]
    scripted = [
        label
        for label, value in zip(axis.labels, axis.values, strict=True)
        if isinstance(value, Entity) and packs.manifests("target")[value.pack].templates
    ]
    if name not in scripted:
        there = f"it has {', '.join(scripted)}" if scripted else "none of its devices is driven by scripts"
        raise UsageError(f"the plan has no scripts for a device {name!r}; {there}")
    index = axis.labels.index(name)
    entity = axis.values[index]
    assert isinstance(entity, Entity)  # noqa: S101 - it is among those with scripts
    return index, entity


def _jobs(build: Build, index: int, out: Path, *, cache: Path, platform: str, telling: Callable[[str], None]) -> None:
    """Write the jobs anew, in the order that `order.tsv` counts in, and put down what they need."""
    found: dict[tuple[str, str], Weights] = {}
    programs: dict[str, Weights] = {}
    cells = [number for number, device in enumerate(build.device_index) if device == index]
    lines = (out / JOBS).read_bytes().splitlines()
    with (out / JOBS).open("wb") as file:
        for number, line in zip(cells, lines, strict=True):
            cell = resolve(build.plan, build.vector(number))
            artifact = artifact_of(build.plan, cell)
            try:
                engine = plugins.engine(cell.engine.pack)
                if (tool := stock(engine, cell.engine)) is not None:
                    raise UsageError(
                        f"the cell {build.ids[number]} is measured by {tool.name}; by hand only the measuring runner "
                        "is used: leave the tool out, or let `mobench exec` run it"
                    )
                launch = engine.launch(platform, cell.engine)
                _programs(build.ids[number], launch, programs, out)
                key = (artifact.key, engine.name)
                if key not in found:
                    telling(f"{artifact.model}{'' if artifact.quant is None else f' {artifact.quant}'}")
                    found[key] = engine.obtain(artifact, cache)
                    _place(found[key].path, out / "models" / f"{artifact.key}.gguf")
                job = _complete(engine, cell.engine, Job.model_validate_json(line), platform, weights=found[key])
            except (PlatformError, PluginError, ArtifactError, RefusedError) as error:
                raise UsageError(str(error)) from error
            file.write(job.model_dump_json().encode() + b"\n")


def _complete(engine: Engine, value: Entity, job: Job, platform: str, *, weights: Weights) -> Job:
    known = job.model.model_copy(update={"sha256": weights.sha256, "size": weights.size})
    job = job.model_copy(update={"model": known})
    return engine.complete(job, platform, value, weights) if isinstance(engine, Completer) else job


def _programs(cell: str, launch: Launch, programs: dict[str, Weights], out: Path) -> None:
    """Put down the instrument; by hand there is one for all jobs, and it is told its job and its events."""
    if launch.argv[1:] != ("{job}", "{events}") or launch.argv[0].strip("{}") not in launch.files:
        raise UsageError(f"the cell {cell} has an instrument of its own; by hand only the measuring runner is used")
    for name, program in launch.files.items():
        if programs.setdefault(name, program) != program:
            raise UsageError(f"the cell {cell} needs another {name} than the cells before; stage them apart")
        place = out / f"mobench-{name}"
        if not place.exists():
            shutil.copyfile(program.path, place)
            place.chmod(0o755)


def _place(source: Path, target: Path) -> None:
    """The weights as a hard link where that can be (gigabytes), else as a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error.strerror}") from error
