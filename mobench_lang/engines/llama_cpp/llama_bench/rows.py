"""What `llama-bench` prints with `-o json` or `-o jsonl` → rows by column name.

In: its standard output, of any version, whole or cut off, with or without lines of others between. Out: `Output`: the
rows that are whole, and what is wrong with the rest. Guarantee: columns are found by name, never by place; a known
column that this version lacks is None; a column that is not known here is kept as it came; nothing is guessed: a row
without its test and its samples is a fault.

The columns have changed many times since the tool appeared in August 2023 (tests/engine/test_llama_bench_rows.py has a
row of each set that is known): one flag per backend became `backends`, `f16_kv` became `type_k` and `type_v`,
`use_mmap` became `load_mode`; `flash_attn` was true or false and is −1 (auto), 0 or 1; `n_depth` came in 2025.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "int", "bool", "float", "ints", "floats"]

COLUMNS: Mapping[str, Kind] = {
    "build_commit": "text", "build_number": "int", "cuda": "bool", "opencl": "bool", "vulkan": "bool",
    "kompute": "bool", "metal": "bool", "sycl": "bool", "rpc": "bool", "gpu_blas": "bool", "blas": "bool",
    "cpu_info": "text", "gpu_info": "text", "backends": "text", "model_filename": "text", "model_type": "text",
    "model_size": "int", "model_n_params": "int", "n_batch": "int", "n_ubatch": "int", "n_threads": "int",
    "cpu_mask": "text", "cpu_strict": "bool", "poll": "int", "f16_kv": "bool", "type_k": "text", "type_v": "text",
    "n_gpu_layers": "int", "n_cpu_moe": "int", "split_mode": "text", "main_gpu": "int", "no_kv_offload": "bool",
    "mul_mat_q": "bool", "low_vram": "bool", "flash_attn": "int", "devices": "text", "tensor_split": "text",
    "tensor_buft_overrides": "text", "defrag_thold": "float", "use_mmap": "bool", "use_direct_io": "bool",
    "load_mode": "text", "lazy_mode": "text", "embeddings": "bool", "no_op_offload": "int", "no_host": "bool",
    "repack": "bool", "fit_target": "int", "fit_min_ctx": "int", "n_prompt": "int", "n_gen": "int", "n_depth": "int",
    "test_time": "text", "avg_ns": "int", "stddev_ns": "int", "avg_ts": "float", "stddev_ts": "float",
    "samples_ns": "ints", "samples_ts": "floats",
}  # fmt: skip
"""Every column of every version of llama.cpp, and what it holds."""

BACKENDS = {
    "cuda": "CUDA", "opencl": "OpenCL", "vulkan": "Vulkan", "kompute": "Kompute", "metal": "Metal", "sycl": "SYCL",
    "rpc": "RPC", "gpu_blas": "GPU BLAS", "blas": "BLAS",
}  # fmt: skip
"""The flags that stood for what `backends` says since the end of 2024."""


@dataclass(frozen=True, slots=True)
class Row:
    """One test. `columns` has every known column (None where the tool had none, or where what it had is not of the
    column's kind) and the unknown ones as they came; those are named in `unknown`."""

    columns: Mapping[str, Any]
    unknown: tuple[str, ...]

    def text(self, name: str) -> str | None:
        """A column of text; None where there is none or it is empty."""
        value = self.columns.get(name)
        return value if isinstance(value, str) and value else None

    def number(self, name: str) -> int | None:
        """A column of whole numbers."""
        value = self.columns.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def test(self) -> tuple[int, int, int]:
        """Prompt tokens, generated tokens, and the depth they were computed at (0 in versions without `n_depth`)."""
        return self.number("n_prompt") or 0, self.number("n_gen") or 0, self.number("n_depth") or 0

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """How long each repetition took, in their order."""
        return tuple(self.columns["samples_ns"])

    @property
    def backends(self) -> tuple[str, ...] | None:
        """What the build can compute with beside the CPU; empty: with the CPU alone; None: the row does not say."""
        told = self.text("backends")
        if told is not None:
            return tuple(b for b in told.split(",") if b != "CPU")
        if all(self.columns.get(flag) is None for flag in BACKENDS):
            return None
        return tuple(name for flag, name in BACKENDS.items() if self.columns.get(flag))


@dataclass(slots=True)
class Output:
    """What a run of the tool printed. `fault` is a stable code, with a sentence in `why`: `output_missing` (no row),
    `output_truncated` (cut off inside a row or a list), `output_unreadable` (no JSON, or a row without its test or
    samples). `others` are lines that are no part of it: warnings of libraries."""

    rows: list[Row] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    fault: str = ""
    why: str = ""


class _UnreadableError(Exception):
    """A row that cannot be used."""


def parse(text: str) -> Output:
    """The rows of an output."""
    out = Output()
    decoder = json.JSONDecoder()
    at, listed, closed = 0, False, False
    while (at := _skip_blank(text, at)) < len(text):
        char = text[at]
        if char in "[]," and _alone(text, at):
            listed, closed = listed or char == "[", char == "]"
            at += 1
        elif char == "{":
            try:
                found, at = decoder.raw_decode(text, at)
                out.rows.append(_row(found))
            except _UnreadableError as error:
                return _faulty(out, "output_unreadable", f"row {len(out.rows) + 1}: {error}")
            except (ValueError, RecursionError) as error:
                return _faulty(out, *_broken(text, at, error, len(out.rows) + 1))
        else:
            line, _, _ = text[at:].partition("\n")
            out.others.append(line.rstrip()[:500])
            at += len(line)
    if listed and not closed:
        return _faulty(out, "output_truncated", f"the list is not closed after {_rows(len(out.rows))}")
    if not out.rows:
        first = f"; it begins with {out.others[0][:120]!r}" if out.others else ""
        return _faulty(out, "output_missing", f"the output has no row{first}")
    return out


def _skip_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\0":
        at += 1
    return at


def _alone(text: str, at: int) -> bool:
    """Whether a bracket or comma is one of the list's: a line of others may begin with `[INFO]`."""
    line, _, _ = text[at + 1 :].partition("\n")
    rest = line.strip()
    return not rest or rest[0] in "{[],"


def _broken(text: str, start: int, error: Exception, number: int) -> tuple[str, str]:
    """The fault of a row that is no JSON: cut off, or damaged."""
    if isinstance(error, json.JSONDecodeError):
        rest = text[error.pos :].strip()
        # Cut off between two words, inside a string, or inside a word such as `false`.
        if not rest or error.msg.startswith("Unterminated string") or (len(rest) <= 5 and "}" not in rest):
            return "output_truncated", f"row {number} is cut off after {len(text) - start} characters"
        near = text[max(start, error.pos - 30) : error.pos + 30]
        return "output_unreadable", f"row {number} is no JSON: {error.msg}, near {near!r}"
    return "output_unreadable", f"row {number} has a value that is too large or nested too deeply"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _faulty(out: Output, code: str, why: str) -> Output:
    out.fault, out.why = code, why
    return out


def _row(found: dict[str, Any]) -> Row:
    """The row of an object. Raises _UnreadableError."""
    columns: dict[str, Any] = {name: _value(kind, found.get(name)) for name, kind in COLUMNS.items()}
    unknown = tuple(name for name in found if name not in COLUMNS)
    columns |= {name: found[name] for name in unknown}
    for name in ("n_prompt", "n_gen"):
        if columns[name] is None or columns[name] < 0:
            raise _UnreadableError(f"`{name}` is {_shown(found, name)}")
    samples = columns["samples_ns"]
    if not samples or any(ns <= 0 for ns in samples):
        raise _UnreadableError(f"`samples_ns` is {_shown(found, 'samples_ns')}")
    return Row(columns, unknown)


def _shown(found: dict[str, Any], name: str) -> str:
    return repr(found[name])[:80] if name in found else "missing"


def _value(kind: Kind, value: Any) -> Any:
    """A value as its kind; None for what is not of it. Forks of the tool put numbers into strings, for instance."""
    match kind:
        case "text":
            return value if isinstance(value, str) else None if value is None else json.dumps(value)
        case "bool":
            return _bool(value)
        case "int":
            return _int(value)
        case "float":
            return _float(value)
        case "ints" | "floats":
            one = _int if kind == "ints" else _float
            made = [one(v) for v in value] if isinstance(value, list) else None
            return None if made is None or None in made else made


def _bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return bool(int(value)) if value in (0, 1, "0", "1") else None


def _int(value: Any) -> int | None:
    if isinstance(value, bool):  # `flash_attn` before it could be `auto`
        return int(value)
    if isinstance(value, float):
        return int(value) if isfinite(value) and value == int(value) else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else None
    return value if isinstance(value, int) else None


def _float(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None
