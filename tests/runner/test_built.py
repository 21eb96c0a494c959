"""The runner as it goes to a device: what kind of file it is, and that it computes what the worker of the host does."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runner.conftest import qemu, runner
from tests.runner.test_measure import CHAT, WORKER, job, launch, rendered
from tests.support.gguf_maker import make

PHONE = "android-arm64+dotprod"
EXACT = {"flash_attention": "off", "type_k": "f32", "type_v": "f32"}
"""Nowhere is less precise than float: processors with half floats add up in those where weights or cache are such."""
LOAD, INTERPRETER, ARM64, PAGE = 1, 3, 183, 16384


def segments(program: Path) -> Iterator[tuple[int, int]]:
    """Kind and alignment of the segments of an ELF64 file."""
    data = program.read_bytes()
    (offset,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    for at in range(offset, offset + size * count, size):
        yield struct.unpack_from("<I", data, at)[0], struct.unpack_from("<Q", data, at + 48)[0]


def test_a_phone_s_is_static_small_and_fits_pages_of_16_kib() -> None:
    program = runner(PHONE)
    found = list(segments(program))
    assert struct.unpack_from("<H", program.read_bytes(), 18) == (ARM64,)
    assert INTERPRETER not in dict(found)
    assert all(alignment % PAGE == 0 for kind, alignment in found if kind == LOAD)
    assert program.stat().st_size <= 10_000_000
    assert runner("host").stat().st_size <= 10_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("models") / "exact.gguf", quant="F32")


@pytest.mark.parametrize(
    "given",
    [
        {"conversations": CHAT, "output_tokens": 24},
        {"prompt_tokens": 40, "output_tokens": 4, "depth": 9},
        {"scores": [{"id": c, "prompt": "x y", "continuation": c} for c in ("qz", "q", " the other")]},
    ],
    ids=["chat", "random", "scores"],
)
def test_a_phone_s_gives_the_tokens_and_likelihoods_of_the_worker(
    given: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    asked = job(model, engine=EXACT, **given)
    status, theirs, _ = launch(WORKER, tmp_path, asked)
    ours = launch([qemu(), str(runner(PHONE))], tmp_path, rendered(asked))
    assert status == ours[0] == 0, ours[2]
    results = [[e for e in lines if e["e"] in ("request", "score")] for lines in (theirs, ours[1])]
    assert len(results[0]) > 1
    for other, mine in zip(*results, strict=True):
        if mine["e"] == "score":
            assert math.isclose(mine["logprob"], other["logprob"], abs_tol=1e-3)
            assert (mine["tokens"], mine["greedy"]) == (other["tokens"], other["greedy"])
        else:
            assert (mine["tokens"], mine["text"]) == (other["tokens"], other["text"])
