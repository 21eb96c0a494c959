"""The measuring runner, compiled against the very shared objects that the Python worker loads.

In: a folder, and flags of the compiler. Out: the program. Both instruments then run the same code of llama.cpp, so
their tokens and log-likelihoods must be equal; the static builds for devices are made by the pack and tested with it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mobench_lang.engines.llama_cpp import library

SOURCES = Path(__file__).resolve().parents[2] / "targets" / "runner"
SIDE_TOOLS = {"sample", "probe", "guard"}
VERSION = ('-DMOBENCH_VERSION="0"', '-DMOBENCH_BUILD="of the tests"')
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compile_runner(folder: Path, *flags: str) -> Path:
    """Compile the runner into a folder. Side tools whose files are not there are left out."""
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is missing: apt-get install gcc"
    headers = library.package().parent / "include"
    assert (headers / "llama.h").is_file(), f"the installed llama-cpp-python has no headers in {headers}"
    sources = sorted(SOURCES.glob("*.c"))
    absent = sorted(SIDE_TOOLS - {path.stem for path in sources})
    rest = folder / "absent.c"
    rest.write_text(
        "typedef int Absent;\n"
        + "".join(
            f"int {n}_main(int c, char **v);\nint {n}_main(int c, char **v) {{ (void)c; (void)v; return 2; }}\n"
            for n in absent
        )
    )
    binding = folder / "lib"
    binding.mkdir()
    for name in ("llama", "ggml", "ggml-base", "ggml-cpu"):  # by the names that the objects ask each other for
        found = min(library.package().joinpath("lib").glob(f"lib{name}.so.[0-9]*"), key=lambda p: len(p.name))
        (binding / found.name).symlink_to(found)
        (binding / f"lib{name}.so").symlink_to(found)
    program = folder / "mobench-runner"
    subprocess.run(
        [
            compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror",
            "-Wno-missing-field-initializers", *VERSION, *flags, f"-I{headers}", *map(str, sources), str(rest),
            "-o", str(program), f"-L{binding}", f"-Wl,-rpath,{binding}", f"-Wl,-rpath-link,{binding}",
            "-lllama", "-lggml", "-lggml-cpu", "-lggml-base", "-lpthread", "-lm",
        ],
        check=True,
    )  # fmt: skip
    return program
