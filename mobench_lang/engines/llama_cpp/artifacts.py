"""Weights: found, downloaded or derived, verified, and cached by digest.

In: an artefact of the plan, the cache folder. Out: `Weights` (path, sha256, size, how it came to be), or ArtifactError
with what is wrong and what to do. Layout of the cache:

    hub/<owner>/<repo>/<commit>/<file>                         downloads
    artifacts/<source sha256>/<quant>-<quantizer build>.gguf   derived files
    digests/                                                   sha256 by path, size and times

Guarantee: a file under its final name is whole (it is written under another name, checked and renamed), and two
processes that want the same file make it once (a lock beside it).
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mobench_lang import digests
from mobench_lang.engines.llama_cpp import gguf_file, hub, library
from mobench_lang.lockfile import names_quant
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError, Weights

SOURCES_TO_DERIVE = ("F16", "BF16", "F32")
NEEDS_IMATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S"})
CANNOT_BE_MADE = frozenset({"NVFP4"})
_SHARD = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_SPARE = 64 << 20  # bytes left free on the disk of the cache


def obtain(artifact: PlanArtifact, cache: Path) -> Weights:
    """The weights of an artefact. Raises ArtifactError."""
    try:
        source, note = _source(artifact, cache)
        header = gguf_file.read(source)
        sha256 = digests.sha256(source, cache)
    except gguf_file.ModelError as error:
        raise ArtifactError(str(error)) from error
    except OSError as error:
        raise ArtifactError(f"{error.filename or artifact.location}: {error.strerror}") from error
    if artifact.sha256 is not None and sha256 != artifact.sha256:
        if artifact.source == "hf":
            raise ArtifactError(
                f"{source} is not what mobench.lock has for {artifact.model}: its sha256 is {sha256}, the lock has "
                f"{artifact.sha256}; remove the file and run again, or lock anew with `mobench lock --update`"
            )
        raise ArtifactError(
            f"{source} has changed since the plan was compiled: its sha256 is {sha256}, "
            f"the plan has {artifact.sha256}; bring the file back, or compile again (after `mobench lock --update` "
            "where it is locked)"
        )
    if artifact.quant is None or artifact.quant == header.quant:
        return Weights(source, sha256, header.size, f"{note}, as published ({header.quant or 'type unknown'})")
    return _derived(artifact, source, sha256, header, cache)


def pin(artifact: PlanArtifact, cache: Path) -> PlanArtifact:
    """The artefact with the commit, file, digest and size that the hub tells for it now. Raises ArtifactError."""
    if artifact.source != "hf" or artifact.repo is None:
        raise ArtifactError(f"{artifact.location} of model {artifact.model} comes from no hub")
    try:
        listing = hub.listing(artifact.repo, artifact.revision, cache)
        file = hub.described(listing, choose(listing, artifact.location, artifact.quant))
    except OSError as error:
        raise ArtifactError(f"the cache {cache} cannot be used: {error.strerror}") from error
    if file.sha256 is None or file.size is None:
        raise ArtifactError(f"the hub tells no sha256 of {file.name} in {artifact.repo}, so it cannot be locked")
    pinned = {"revision": listing.commit, "location": file.name, "sha256": file.sha256, "size": file.size}
    return artifact.model_copy(update=pinned)


# ---------------------------------------------------------------- sources


def _source(artifact: PlanArtifact, cache: Path) -> tuple[Path, str]:
    if artifact.source == "path":
        path = Path(artifact.location).expanduser()
        if not path.exists():
            raise ArtifactError(f"{path} does not exist; model {artifact.model} wants it")
        _refuse_shard(path.name)
        return path.resolve(), "local file"
    if artifact.source == "bundled":
        return _bundled(artifact.location), "bundled"
    return _from_hub(artifact, cache)


def _bundled(name: str) -> Path:
    from importlib import resources

    found = resources.files("mobench_specs").joinpath(*name.split("/"))
    if not isinstance(found, Path):
        raise ArtifactError(f"{name} lies in an archive; install mobench unpacked")
    if not found.is_file():
        raise ArtifactError(f"{name} is not shipped with this mobench; install it again")
    return found


def _from_hub(artifact: PlanArtifact, cache: Path) -> tuple[Path, str]:
    if artifact.repo is None:
        raise ArtifactError(f"model {artifact.model} has a hub source without a repository; compile the spec again")
    commit, file = _pinned(artifact) or _listed(artifact, artifact.repo, cache)
    with _locked(hub.place(artifact.repo, commit, f"{file.name}.lock", cache)):
        path = hub.download(artifact.repo, commit, file, cache)
    return path, f"{artifact.repo}@{commit[:12]}"


def _pinned(artifact: PlanArtifact) -> tuple[str, hub.HubFile] | None:
    """What a locked artefact says itself: nothing has to be asked."""
    if artifact.sha256 is None or artifact.size is None or not hub.is_commit(artifact.revision):
        return None
    _refuse_shard(artifact.location)
    return str(artifact.revision), hub.HubFile(artifact.location, artifact.size, artifact.sha256)


def _listed(artifact: PlanArtifact, repo: str, cache: Path) -> tuple[str, hub.HubFile]:
    listing = hub.listing(repo, artifact.revision, cache)
    return listing.commit, choose(listing, artifact.location, artifact.quant)


def choose(listing: hub.Listing, name: str, quant: str | None) -> hub.HubFile:
    """The file that is meant: by name, else the only one of the quant, else the only one that the quant can be made
    from."""
    models = [f for f in listing.files if f.name.lower().endswith(".gguf") and "mmproj" not in f.name.lower()]
    if name:
        _refuse_shard(name)
        for file in listing.files:
            if file.name == name:
                return file
        raise ArtifactError(f"{listing.repo} has no file {name}; its GGUF files are: {_names(models)}")
    wanted = [quant] if quant else []
    candidates = [_of_quant(models, q) for q in (*wanted, *SOURCES_TO_DERIVE)] if quant else [models]
    for found in candidates:
        if len(found) == 1:
            _refuse_shard(found[0].name)
            return found[0]
        if len(found) > 1:
            shards = [f for f in found if _SHARD.search(f.name)]
            if len(shards) == len(found):
                _refuse_shard(found[0].name)
            raise ArtifactError(
                f"{listing.repo} has several files for {quant or 'this model'}: {_names(found)}; name one"
            )
    raise ArtifactError(
        f"{listing.repo} has no file for {quant or 'this model'}, nor one in F16, BF16 or F32 to make it from; "
        f"its GGUF files are: {_names(models)}"
    )


def _of_quant(files: list[hub.HubFile], quant: str) -> list[hub.HubFile]:
    return [f for f in files if names_quant(f.name, quant)]


def _names(files: list[hub.HubFile]) -> str:
    names = [f.name for f in files]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "none"


def _refuse_shard(name: str) -> None:
    if _SHARD.search(name):
        raise ArtifactError(f"{name} is one part of a split model; merge the parts with `llama-gguf-split --merge`")


# ---------------------------------------------------------------- derived files


def _derived(artifact: PlanArtifact, source: Path, sha256: str, header: gguf_file.Header, cache: Path) -> Weights:
    quant = artifact.quant
    assert quant is not None  # noqa: S101 - the caller's condition
    if header.quant not in SOURCES_TO_DERIVE and not artifact.requantize:
        raise ArtifactError(
            f"{source.name} is {header.quant or 'of an unknown type'}; {quant} is made from F16, BF16 or F32 only, "
            "because quantizing twice loses more; give such a file, or set `requantize = true` on the model"
        )
    if quant in NEEDS_IMATRIX:
        raise ArtifactError(
            f"{quant} needs an importance matrix, which mobench does not make; give a published {quant} file"
        )
    if quant in CANNOT_BE_MADE:
        raise ArtifactError(f"llama.cpp cannot make {quant}; give a published {quant} file")
    try:
        maker = f"llama.cpp-{library.commit()}-{library.digest()[:12]}"
    except library.LibraryMissingError as error:
        raise ArtifactError(f"{quant} has to be made from {source.name}, but {error}") from error
    target = cache / "artifacts" / sha256 / f"{quant}-{maker}.gguf"
    note = f"{quant} from {header.quant} {sha256[:12]} by {maker}"
    try:
        with _locked(target.with_suffix(".lock")):
            if not _whole(target):
                _make(source, target, quant, header, requantize=artifact.requantize)
            return Weights(target, digests.sha256(target, cache), target.stat().st_size, note)
    except OSError as error:
        raise ArtifactError(f"the cache {target.parent} cannot be used: {error.strerror}") from error


def _whole(path: Path) -> bool:
    """Whether a file of the cache is there and not damaged by a crash of the system."""
    try:
        gguf_file.read(path)
    except gguf_file.ModelError:
        return False
    return True


def _make(source: Path, target: Path, quant: str, header: gguf_file.Header, *, requantize: bool) -> None:
    free = shutil.disk_usage(target.parent).free
    needed = int(header.parameters * _BITS.get(quant, 9) / 8 * 1.1)
    if needed + _SPARE > free:
        raise ArtifactError(
            f"{quant} needs about {needed / 1e9:.2f} GB in {target.parent}, {free / 1e9:.2f} GB are free; "
            "free some, or move the cache with MOBENCH_CACHE"
        )
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    argv = [sys.executable, "-P", "-m", "mobench_lang.engines.llama_cpp.quantize", str(source), str(part), quant]
    try:
        done = subprocess.run([*argv, *(["--requantize"] if requantize else [])], capture_output=True, check=False)
        if done.returncode:
            raise ArtifactError(_why(done, quant, source, target))
        try:
            made = gguf_file.read(part)
        except gguf_file.ModelError as error:
            full = shutil.disk_usage(target.parent).free < _SPARE
            reason = "the disk is full" if full else str(error)
            raise ArtifactError(f"the quantizer left no usable {quant} of {source.name}: {reason}") from error
        if made.quant != quant:
            raise ArtifactError(f"the quantizer made {made.quant} instead of {quant} of {source.name}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


# Upper limits of bits per weight: tensors that a type does not fit become Q8_0 (8.5 bits) at most, or stay F16.
_BITS = {"F32": 32, "F16": 16, "BF16": 16}


def _why(done: subprocess.CompletedProcess[bytes], quant: str, source: Path, target: Path) -> str:
    if shutil.disk_usage(target.parent).free < _SPARE:
        return (
            f"no space left in {target.parent} while making {quant} of {source.name}; free some, or set MOBENCH_CACHE"
        )
    if done.returncode < 0:
        return f"llama.cpp's quantizer crashed (signal {-done.returncode}) while making {quant} of {source.name}"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"llama.cpp's quantizer failed while making {quant} of {source.name}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file; waits for another process that makes the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
