"""The header check: what is said about a file before the library sees it."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.engines.llama_cpp import gguf_file
from mobench_lang.engines.llama_cpp.gguf_file import ModelError
from tests.support.gguf_maker import make


def test_the_header_of_a_model(tiny: Path) -> None:
    header = gguf_file.read(tiny)
    assert header.quant == "F16"
    assert header.metadata["general.architecture"] == "llama"
    assert header.metadata["llama.context_length"] == 1024
    assert header.size == tiny.stat().st_size
    assert header.parameters == 1_443_072


@pytest.mark.parametrize("quant", ["F32", "BF16", "Q8_0", "Q4_0"])
def test_the_weight_type(tmp_path: Path, quant: str) -> None:
    assert gguf_file.read(make(tmp_path / "m.gguf", quant=quant)).quant == quant


def test_block_sizes_are_those_of_the_format() -> None:
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        if int(kind) in gguf_file._BLOCKS:
            assert gguf_file._BLOCKS[int(kind)] == (size, block), kind


def code(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        gguf_file.read(path)
    assert str(path) in str(caught.value)
    return caught.value.code


def test_what_can_be_wrong(tmp_path: Path, tiny: Path) -> None:
    good = tiny.read_bytes()
    path = tmp_path / "bad.gguf"
    assert code(path, b"") == "model_not_gguf"
    assert code(path, b"version https://git-lfs.github.com/spec/v1\n") == "model_not_gguf"
    assert code(path, good[:4]) == "model_truncated"
    assert code(path, good[:500]) == "model_truncated"
    assert code(path, good[:-1]) == "model_truncated"
    assert code(path, good[:4] + struct.pack("<I", 1) + good[8:]) == "model_version"
    assert code(path, good[:8] + struct.pack("<Q", 1 << 60) + good[16:]) == "model_not_gguf"
    with pytest.raises(ModelError, match="folder"):
        gguf_file.read(tmp_path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_never_more_than_a_model_error(
    data: st.DataObject, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = bytearray(tiny.read_bytes()[:20_000])
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(raw)
    with pytest.raises(ModelError):
        gguf_file.read(path)
