"""Which llama.cpp is installed, without loading it.

In: the installed distribution `llama_cpp_python`. Out: where its shared objects are and the build as one line: version
of the binding, commit of llama.cpp, digest of the shared objects (two builds with other compiler flags differ in it).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from functools import cache
from importlib import metadata, util
from pathlib import Path

DISTRIBUTION = "llama_cpp_python"
INSTALL = "pip install 'mobench[llama-cpp]'"


class LibraryMissingError(Exception):
    """llama-cpp-python is not installed, or its shared objects are not where they belong."""


@cache
def package() -> Path:
    """The folder of the package `llama_cpp`; raises LibraryMissingError."""
    spec = util.find_spec("llama_cpp")  # finds, does not import
    if spec is None or not spec.submodule_search_locations:
        raise LibraryMissingError(f"llama-cpp-python is not installed; {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def libraries() -> tuple[Path, ...]:
    """The shared objects of llama.cpp by name, each once (wheels hold copies for every version suffix)."""
    override = os.environ.get("LLAMA_CPP_LIB_PATH")  # honoured by llama-cpp-python itself
    folder = Path(override) if override else package() / "lib"
    found = sorted(p for p in folder.glob("*") if p.suffix in {".so", ".dylib", ".dll"})
    if not any("llama" in p.name for p in found):
        raise LibraryMissingError(f"{folder} holds no llama library; {INSTALL} --force-reinstall")
    return tuple(found)


@cache
def digest() -> str:
    """sha256 over names and bytes of the shared objects."""
    total = hashlib.sha256()
    for path in libraries():
        total.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


@cache
def commit() -> str:
    """The commit of llama.cpp that the shared objects were made from, as ggml tells it; `unknown` if it does not."""
    base = next((p for p in libraries() if p.stem == "libggml-base"), None)
    if base is not None and (linked := base.with_name(f"{base.name}.0")).exists():
        base = linked  # the name that libllama asks for: wheels hold copies, and another name would be loaded twice
    try:
        told = ctypes.CDLL(str(base)).ggml_commit if base else None
    except (OSError, AttributeError):
        told = None
    if told is None:
        return "unknown"
    told.restype = ctypes.c_char_p
    return bytes(told()).decode()


@cache
def build() -> str:
    """The build as one line; equal lines mean equal code."""
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise LibraryMissingError(f"llama-cpp-python is not installed; {INSTALL}") from error
    return f"llama-cpp-python {version}, llama.cpp {commit()}, libraries sha256:{digest()[:16]}"
