"""Build the wheel and try it where nothing of this checkout is in reach.

In: the files that git tracks or would track. Out: nothing but the verdict. Guaranteed on success: the wheel holds every
file of the packages (grammar, manifests, schemas, library, embedded model) and nothing else, and installed alone
beside its dependencies it can check and compile the shipped example from another folder.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
PACKAGES = {"mobench_lang": "mobench_lang"} | {folder: name for name, folder in SETTINGS["package-dir"].items()}
"""Folder -> import name."""

NOT_SHIPPED = frozenset({".gitignore", ".gitattributes", ".clang-tidy"})


def tracked(folder: str = ".") -> list[str]:
    """The files that git tracks, or would track, and that are there."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", folder]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted({name for name in names if name and (ROOT / name).is_file()})


def build(scratch: Path) -> Path:
    """The wheel, built from a copy so that no `build/` of an earlier time leaks into it."""
    source = scratch / "source"
    for name in tracked():
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*argv, "--wheel-dir", scratch / "dist", source], check=True, cwd=scratch)
    (wheel,) = (scratch / "dist").glob("mobench-*.whl")
    return wheel


def contents(wheel: Path) -> list[str]:
    """What is wrong with the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
    metadata = {name for name in held if name.split("/")[0].endswith(".dist-info")}
    wanted = {
        package + name.removeprefix(folder)
        for folder, package in PACKAGES.items()
        for name in tracked(folder)
        if Path(name).name not in NOT_SHIPPED
    }
    faults = [f"missing in the wheel: {name}" for name in sorted(wanted - held)]
    faults += [f"not ours, but in the wheel: {name}" for name in sorted(held - metadata - wanted)]
    if not any(name.endswith("/licenses/LICENSE") for name in metadata):
        faults.append("missing in the wheel: the licence")
    return faults


def install(wheel: Path, scratch: Path) -> Path:
    """An environment with the wheel and, linked from this one, its dependencies; the folder of its programs."""
    home = scratch / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (site,) = home.glob("lib/python3*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("mobench", "__editable__", "_virtualenv", "__pycache__")):
            (site / entry.name).symlink_to(entry)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True)
    return home / "bin"


def attempt(programs: Path, scratch: Path) -> None:
    """Use the installed wheel from a folder that knows nothing of this checkout."""
    work = scratch / "work"
    work.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    where = "import importlib.resources as r; print(r.files('mobench_specs') / 'examples' / 'quickstart.bench')"
    found = subprocess.run(
        [programs / "python", "-c", where], cwd=work, env=env, capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_relative_to(scratch):
        sys.exit(f"package: the installed wheel is not what was imported: {found}")
    shutil.copyfile(found, work / "quickstart.bench")
    for argv in (["--version"], ["check", "quickstart.bench"], ["compile", "quickstart.bench", "-o", "out"]):
        if subprocess.run([programs / "mobench", *argv], cwd=work, env=env, check=False).returncode != 0:
            sys.exit(f"package: the installed wheel cannot do: mobench {' '.join(argv)}")
    if not (work / "out" / "plan.json").is_file():
        sys.exit("package: the installed wheel compiled nothing")


def main() -> None:
    """Build, look inside, install, use."""
    with tempfile.TemporaryDirectory(prefix="mobench-package-") as folder:
        scratch = Path(folder).resolve()
        wheel = build(scratch)
        faults = contents(wheel)
        if faults:
            sys.exit("package: " + "\npackage: ".join(faults))
        attempt(install(wheel, scratch), scratch)
        print(f"package: {wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB) holds everything and works alone")


if __name__ == "__main__":
    main()
