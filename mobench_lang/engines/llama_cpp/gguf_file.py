"""Looking into a GGUF file before the library does, to say clearly what is wrong with it.

In: a path. Out: `Header` (metadata without the long arrays but, if wanted, with the vocabulary's, tensor count, weight
type), or `ModelError` with a
stable code: `model_missing`, `model_not_gguf`, `model_version`, `model_truncated`. The check compares where the last
tensor ends with the size of the file; weights are not read.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Value = int | float | bool | str

# Bytes of one block and elements in it, by ggml type (ggml.c, `type_traits`).
_BLOCKS = {
    0: (4, 1), 1: (2, 1), 2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32),
    10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256),
    16: (66, 256), 17: (74, 256), 18: (98, 256), 19: (50, 256), 20: (18, 32), 21: (110, 256), 22: (82, 256),
    23: (136, 256), 24: (1, 1), 25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1), 29: (56, 256), 30: (2, 1),
    34: (54, 256), 35: (66, 256), 39: (17, 32), 40: (36, 64), 41: (18, 128), 42: (18, 64),
}  # fmt: skip
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# llama_ftype, as `general.file_type` holds it.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip


class ModelError(Exception):
    """The file is no usable model; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Header:
    """What the header says. `quant` is the weight type's name (`Q4_K_M`), None if the file does not tell."""

    version: int
    metadata: dict[str, Value]
    tensors: int
    parameters: int
    size: int
    quant: str | None
    tokens: tuple[str, ...] = ()


def read(path: Path, *, tokens: bool = False) -> Header:
    """The header of a model file, checked against the file's size; with its `tokens` if they are wanted."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _Reader(file, path, size, tokens=tokens).header()
    except FileNotFoundError as error:
        raise ModelError("model_missing", f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise ModelError("model_missing", f"{path} is a folder, not a GGUF file") from error
    except OSError as error:
        raise ModelError("model_missing", f"{path} cannot be read: {error.strerror}") from error


class _Reader:
    def __init__(self, file: BinaryIO, path: Path, size: int, *, tokens: bool) -> None:
        self.file, self.path, self.size, self.wanted = file, path, size, tokens
        self.found: tuple[str, ...] = ()

    def header(self) -> Header:
        magic = self.file.read(4)
        if magic != b"GGUF":
            seen = "empty" if not self.size else f"it begins with {magic!r} instead of b'GGUF'"
            raise ModelError("model_not_gguf", f"{self.path} is not a GGUF file: {seen}")
        version = self.scalar("I")
        if version not in {2, 3}:
            raise ModelError("model_version", f"{self.path} is GGUF version {version}; versions 2 and 3 can be read")
        tensors, pairs = int(self.scalar("Q")), int(self.scalar("Q"))
        if tensors > self.size or pairs > self.size:
            raise ModelError(
                "model_not_gguf", f"{self.path} is damaged: its header counts more entries than it has bytes"
            )
        metadata: dict[str, Value] = {}
        for _ in range(pairs):
            key = self.string()
            kind = int(self.scalar("I"))
            if self.wanted and key == "tokenizer.ggml.tokens" and kind == _ARRAY:
                self.found = self.strings()
                continue
            value = self.value(kind)
            if value is not None:
                metadata[key] = value
        end, parameters = self.tensors(tensors)
        alignment = max(int(metadata.get("general.alignment", 32)), 1)
        data = -(-self.file.tell() // alignment) * alignment
        if tensors and data + end > self.size:
            raise ModelError(
                "model_truncated",
                f"{self.path} is cut off: its tensors end at byte {data + end}, the file has {self.size} bytes; "
                "copy it again",
            )
        quant = FILE_TYPES.get(int(metadata["general.file_type"]) & 1023) if "general.file_type" in metadata else None
        return Header(int(version), metadata, tensors, parameters, self.size, quant, self.found)

    def tensors(self, count: int) -> tuple[int, int]:
        """Where the last tensor ends, counted from the start of the data, and the number of weights."""
        end = parameters = 0
        for _ in range(count):
            self.string()
            elements = 1
            for _ in range(int(self.scalar("I"))):
                elements *= int(self.scalar("Q"))
            kind, offset = int(self.scalar("I")), int(self.scalar("Q"))
            block, per_block = _BLOCKS.get(
                kind, (0, 1)
            )  # of a type that is newer than this table only the start is checked
            end = max(end, offset + elements // per_block * block)
            parameters += elements
        return end, parameters

    def take(self, count: int) -> bytes:
        if count > self.size:
            raise ModelError("model_not_gguf", f"{self.path} is damaged: an entry claims {count} bytes")
        data = self.file.read(count)
        if len(data) < count:
            raise ModelError(
                "model_truncated", f"{self.path} is cut off inside its header, at byte {self.size}; copy it again"
            )
        return data

    def scalar(self, form: str) -> int | float | bool:
        found: int | float | bool = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]
        return found

    def string(self) -> str:
        return self.take(int(self.scalar("Q"))).decode("utf-8", "replace")

    def value(self, kind: int) -> Value | None:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            self.skip_array()
            return None
        if kind not in _SCALARS:
            raise ModelError("model_not_gguf", f"{self.path} is damaged: metadata of the unknown type {kind}")
        return self.scalar(_SCALARS[kind])

    def strings(self) -> tuple[str, ...]:
        kind, count = int(self.scalar("I")), int(self.scalar("Q"))
        if kind != _STRING or count > self.size:
            raise ModelError("model_not_gguf", f"{self.path} is damaged: its vocabulary is no list of texts")
        return tuple(self.string() for _ in range(count))

    def skip_array(self) -> None:
        kind, count = int(self.scalar("I")), int(self.scalar("Q"))
        if kind in _SCALARS:
            length = struct.calcsize("<" + _SCALARS[kind]) * count
            if length > self.size:
                raise ModelError("model_not_gguf", f"{self.path} is damaged: an array claims {length} bytes")
            self.file.seek(length, os.SEEK_CUR)
        elif kind == _STRING:
            for _ in range(count):
                self.take(int(self.scalar("Q")))
        else:
            raise ModelError("model_not_gguf", f"{self.path} is damaged: an array of the unknown type {kind}")
