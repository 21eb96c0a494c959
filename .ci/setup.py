#!/usr/bin/env python3
"""Make `.venv` hold everything that mobench is built, run and tested with.

In: pyproject.toml, .ci/constraints.txt, this machine. Out: `.venv`, and under the user's cache folder the llama.cpp
binding built for this processor. Needs nothing but a Python of 3.11 or later; may be interrupted and run again; two at
once wait for each other; answers at once when nothing changed.

    python3 .ci/setup.py           make or refresh .venv
    python3 .ci/setup.py tools     only the system packages: install them if that is allowed, else name them
    python3 .ci/setup.py lock      write .ci/constraints.txt anew from the newest releases that pyproject.toml admits
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  # met by the pythons that this line is for
    sys.exit("mobench needs Python 3.11 or later; this is " + sys.version)

import fcntl
import tomllib
from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "mobench-setup.json"
BINDING_STAMP = VENV / "mobench-binding.txt"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
PLUGINS = (ROOT / "tests" / "plugin" / "example",)

EXTRAS = "llama-cpp,ssh,android,monsoon"
"""The extras that this version imports; the others are names for targets and faces to come."""

BUILD_TOOLS = ("pip", "setuptools", "wheel", "scikit-build-core", "cmake", "ninja")
BUILD_TOOLS_OF_THE_BINDING = ("scikit-build-core", "cmake", "ninja")

BINDING = "llama-cpp-python==0.3.36"
BINDING_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
"""The published source archive. There is no wheel on the package index; one that were built for every processor
would miss the instructions that decide the speed that is measured here."""

CMAKE_ARGS = "-DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF -DGGML_NATIVE=ON"

COMPILER_VARIABLES = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")

NO_AMX = "-U__AMX_INT8__"
"""Leaves AMX out: GCC drops most of the tile configuration that this llama.cpp hands to it, so that a quantized model
ends with SIGSEGV on processors that have AMX (ggml-org/llama.cpp#20824, #26954). So is the runner for `host`."""

DEBIAN = {"cc": "gcc", "c++": "g++", "make": "make", "git": "git"}
"""Programs that must be there, and the Debian packages that bring them."""

FOR_TESTS = {"mksh": "mksh", "toybox": "toybox", "busybox": "busybox", "shellcheck": "shellcheck",
             "sshd": "openssh-server", "ssh": "openssh-client",
             "qemu-aarch64-static": "qemu-user-static", "bwrap": "bubblewrap", "clang-tidy": "clang-tidy",
             "uhubctl": "uhubctl"}  # fmt: skip
"""Likewise for tests and lint alone, which say what is missing: shells and tools of devices, and what reads their
scripts and the runner's C."""


class SetupError(Exception):
    """Something that a person has to do first; the text says what."""


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


# ---------------------------------------------------------------- running programs


def run(
    what: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, expected: str = "", log: Path
) -> None:
    """Run a program with its output in `log`; say how long it has been at work; show the log's end if it fails."""
    say(what + (f" ({expected})" if expected else ""))
    begun = time.monotonic()
    with log.open("ab") as out:
        out.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
        out.flush()
        start = out.tell()
        process = subprocess.Popen(
            [str(a) for a in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=30)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  … {time.monotonic() - begun:.0f} s")
        except BaseException:  # Ctrl-C above all: what was started ends too, compilers included
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if status != 0:
        with log.open("rb") as out:
            out.seek(start)
            tail = out.read().decode("utf-8", "replace").splitlines()[-40:]
        raise SetupError("\n".join([*tail, f"{what}: exit status {status}; the whole log is {log}"]))


# ---------------------------------------------------------------- system packages


def missing_packages() -> list[str]:
    """The Debian packages that bring what is missing on this machine."""
    missing = [package for program, package in DEBIAN.items() if shutil.which(program) is None]
    try:
        import ensurepip
        import venv
    except ImportError:
        missing.append("python3-venv")
    else:
        del ensurepip, venv
    return missing


def apt_prefix() -> list[str] | None:
    """How packages may be installed without a question: as root, by sudo without a password, or not at all (None)."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    if shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0:
        return sudo
    return None


def tools() -> None:
    """Install the system packages that are missing, or raise SetupError with the command that does."""
    missing = missing_packages()
    prefix = apt_prefix()
    wanted = [package for program, package in FOR_TESTS.items() if shutil.which(program) is None]
    if prefix is None and wanted:
        say(f"some tests, or lint, will fail without the packages {' '.join(wanted)}; nothing else needs them")
    elif prefix is not None:
        missing += wanted
    if not missing:
        return
    names = " ".join(missing)
    if prefix is None:
        raise SetupError(
            f"these system packages are missing: {names}\n"
            f"install them and run this again:  sudo apt-get update && sudo apt-get install --yes {names}\n"
            "(on other systems: a C and C++ compiler, make, git, and Python's venv module)"
        )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "apt.log"
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        run("looking up system packages", [*prefix, "apt-get", "update"], log=log)
        run(
            f"installing system packages: {names}",
            [*prefix, "apt-get", "install", "--yes", "--no-install-recommends", *missing],
            env=env,
            log=log,
        )
    still = missing_packages()
    if still:
        raise SetupError(f"still missing after installing them: {' '.join(still)}")


# ---------------------------------------------------------------- the environment


def pins() -> dict[str, str]:
    """Name -> version of .ci/constraints.txt."""
    lines = (line.split("#")[0].strip() for line in CONSTRAINTS.read_text("utf-8").splitlines())
    return {name: version for name, _, version in (line.partition("==") for line in lines if line)}


def pinned(*names: str) -> list[str]:
    """Requirements for exactly the versions of .ci/constraints.txt."""
    versions = pins()
    return [f"{name}=={versions[name]}" for name in names]


def digest() -> str:
    """What `.venv` is made from; the settings of linters and tests in pyproject.toml do not matter to it."""
    made_from: dict[str, object] = {
        "python": [sys.version, os.path.realpath(sys.executable), str(VENV)],
        "script": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "constraints": hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest(),
    }
    for folder in (ROOT, *PLUGINS):
        document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        parts = [document.get(k) for k in ("build-system", "project", "dependency-groups")]
        made_from[str(folder)] = [*parts, document.get("tool", {}).get("setuptools")]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def is_current() -> bool:
    """Whether `.venv` is what the last finished setup left, from the same inputs."""
    try:
        return PYTHON.exists() and json.loads(STAMP.read_text("utf-8"))["digest"] == digest()
    except (OSError, ValueError, KeyError):
        return False


def make_venv(log: Path) -> None:
    """A virtual environment of this very Python, with the pinned pip and build tools."""
    probe = [str(PYTHON), "-c", "import pip, sys; print(sys.version)"]
    try:
        usable = subprocess.run(probe, capture_output=True, text=True, check=False).stdout.strip() == sys.version
    except OSError:
        usable = False
    if not usable:
        run("making .venv", [sys.executable, "-m", "venv", "--clear", VENV], log=log)
    run("installing build tools", [*PIP, "install", *pinned(*BUILD_TOOLS)], log=log)


PIP = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input")


# ---------------------------------------------------------------- the llama.cpp binding


def cache_folder() -> Path:
    """Where built things are kept between checkouts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mobench"


def binding_key() -> str:
    """What the built binding depends on: source, flags, compiler, instructions of this processor, C library, tools.

    The compiler's own predefined macros under `-march=native` say which instructions it will use.
    """
    compiler = os.environ.get("CXX") or "c++"

    def output(*argv: str) -> str:
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return platform.processor()
        return done.stdout

    parts = {
        "source": BINDING_SHA256,
        "flags": [CMAKE_ARGS, NO_AMX, *(os.environ.get(name, "") for name in COMPILER_VARIABLES)],
        "compiler": output(compiler, "--version"),
        "instructions": output(compiler, "-march=native", "-dM", "-E", "-x", "c++", "-"),
        "platform": [sysconfig.get_platform(), *platform.libc_ver()],
        "tools": pinned(*BUILD_TOOLS_OF_THE_BINDING),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def binding_wheel(log: Path) -> Path:
    """The wheel of the binding for this machine: from the cache, or built into it."""
    wheels = cache_folder() / "wheels"
    folder = wheels / binding_key()
    wheels.mkdir(parents=True, exist_ok=True)
    with locked(wheels / f"{folder.name}.lock", "another setup builds llama.cpp; waiting for it"):
        found = sorted(folder.glob("*.whl"))
        if found:
            return found[0]
        with tempfile.TemporaryDirectory(dir=wheels, prefix="building-") as scratch:
            wanted = Path(scratch) / "requirements.txt"
            wanted.write_text(f"{BINDING} --hash=sha256:{BINDING_SHA256}\n", "utf-8")
            built = Path(scratch) / "built"
            # No pip cache: pip keeps wheels it built by source alone, blind to flags and processor.
            argv = [*PIP, "wheel", "--no-cache-dir", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
            run(
                f"building {BINDING} for this processor; kept in {folder}",
                [*argv, "--require-hashes", "--wheel-dir", str(built), "--requirement", str(wanted)],
                env={
                    "CMAKE_ARGS": CMAKE_ARGS,
                    "CFLAGS": f"{os.environ.get('CFLAGS', '')} {NO_AMX}".strip(),
                    "CXXFLAGS": f"{os.environ.get('CXXFLAGS', '')} {NO_AMX}".strip(),
                    "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1),
                    "PATH": os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)]),
                },
                expected="once per machine, three to five minutes on two cores",
                log=log,
            )
            shutil.rmtree(folder, ignore_errors=True)
            built.rename(folder)
    return next(iter(sorted(folder.glob("*.whl"))))


def install_binding(log: Path) -> None:
    """Install the binding for this machine, unless `.venv` already holds that very build."""
    key = binding_key()
    probe = [str(PYTHON), "-c", "from importlib.metadata import version; print(version('llama-cpp-python'))"]
    installed = subprocess.run(probe, capture_output=True, text=True, check=False).stdout.strip()
    if BINDING_STAMP.exists() and BINDING_STAMP.read_text("utf-8") == key and BINDING.endswith(f"=={installed}"):
        return
    BINDING_STAMP.unlink(missing_ok=True)
    argv = [*PIP, "install", "--no-deps", "--force-reinstall", str(binding_wheel(log))]
    run("installing the llama.cpp binding", argv, log=log)
    BINDING_STAMP.write_text(key, "utf-8")


def binding_starts(log: Path) -> bool:
    """Whether the installed binding can be loaded and computes here."""
    try:
        run("running llama.cpp once", [PYTHON, "-m", "mobench_lang.engines.llama_cpp.selftest"], log=log)
    except SetupError:
        return False
    return True


# ---------------------------------------------------------------- setup and lock


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold an exclusive lock; the operating system lets it go with the process."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def setup() -> None:
    """Make or refresh `.venv`."""
    if is_current():
        return
    begun = time.monotonic()
    tools()
    with locked(ROOT / ".venv.lock", "another setup is at work here; waiting for it"):
        if is_current():
            return
        STAMP.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "setup.log"
            try:
                fill_venv(log)
            finally:
                if VENV.is_dir() and log.exists():
                    shutil.copyfile(log, VENV / "setup.log")
        STAMP.write_text(json.dumps({"digest": digest()}) + "\n", "utf-8")
    say(f"done in {time.monotonic() - begun:.0f} s; everything is in .venv")


def fill_venv(log: Path) -> None:
    """All that `.venv` holds, in the order in which one needs the other."""
    make_venv(log)
    install_binding(log)
    pip_install = [*PIP, "install", "--no-build-isolation", "--constraint", str(CONSTRAINTS)]
    run("installing libraries and tools", [*pip_install, "--editable", f".[{EXTRAS}]", "--group", "dev"], log=log)
    for plugin in PLUGINS:
        run(f"installing {plugin.relative_to(ROOT)}", [*pip_install, "--no-deps", "--editable", str(plugin)], log=log)
    # As pip does for what is not editable; where PYTHONDONTWRITEBYTECODE is set, no run would do it later.
    compiling = "import compileall; [compileall.compile_dir(f, quiet=2) for f in ('mobench_lang', 'targets', 'specs')]"
    run("compiling modules", [PYTHON, "-c", compiling], log=log)
    run("checking that all fits together", [*PIP, "check"], log=log)
    if not binding_starts(log):
        say("the cached build of llama.cpp does not run here; building it anew")
        shutil.rmtree(cache_folder() / "wheels" / binding_key(), ignore_errors=True)
        BINDING_STAMP.unlink(missing_ok=True)
        install_binding(log)
        if not binding_starts(log):
            raise SetupError(f"llama.cpp was built but does not run; {VENV / 'setup.log'} says why")


LOCK_HEADER = """\
# The exact versions of everything in .venv, so that every clone gets the same.
# Written by `make lock` (python3 .ci/setup.py lock) from the newest releases that pyproject.toml admits; do not edit.
"""


def lock() -> None:
    """Write .ci/constraints.txt: resolve in a scratch environment without constraints and freeze it."""
    tools()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "lock.log"
        python = Path(folder) / "venv" / "bin" / "python"
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        run("making a scratch environment", [sys.executable, "-m", "venv", str(Path(folder) / "venv")], log=log)
        run("newest build tools", [*pip, "install", "--upgrade", *BUILD_TOOLS], log=log)
        document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        project = document["project"]
        extras = project["optional-dependencies"]
        wanted = [*project["dependencies"], *(need for extra in EXTRAS.split(",") for need in extras[extra])]
        # Only the binding's metadata is wanted: what it requires, not the library.
        stated = [w for w in wanted if w != BINDING]
        run("resolving", [*pip, "install", *stated, *document["dependency-groups"]["dev"]], log=log)
        report = Path(folder) / "report.json"
        dry = [*pip, "install", "--dry-run", "--no-build-isolation", "--quiet", "--report", str(report), BINDING]
        run("what the llama.cpp binding requires", dry, log=log)
        also = [entry["metadata"] for entry in json.loads(report.read_text("utf-8"))["install"]]
        frozen = subprocess.run(
            [*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    found = [line.partition("==")[::2] for line in frozen] + [(m["name"], m["version"]) for m in also]
    lines = sorted({f"{re.sub('[-_.]+', '-', name).lower()}=={version}" for name, version in found})
    text = LOCK_HEADER + "".join(f"{line}\n" for line in lines)
    CONSTRAINTS.write_text(text, "utf-8")
    say(f"{CONSTRAINTS.relative_to(ROOT)}: {len(lines)} versions")


def main(arguments: Sequence[str]) -> int:
    """Run a verb; 2 if a person has to do something first."""
    verbs = {"setup": setup, "tools": tools, "lock": lock}
    verb = arguments[0] if arguments else "setup"
    if verb not in verbs or len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    os.chdir(ROOT)
    try:
        verbs[verb]()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on", file=sys.stderr, flush=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
