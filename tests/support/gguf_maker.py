"""Random-weight models for tests and benchmarks: real GGUF files of any size that llama.cpp loads, made in memory.

In: a `Shape`, a seed and a weight type. Out: a GGUF file of architecture `llama` with a byte-level BPE vocabulary
(the 256 bytes, a few merges, the special tokens of ChatML, fillers up to `vocab`) and a chat template. The same
arguments give the same bytes. The output is gibberish, but it is deterministic and it costs what a real model of that
shape costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>")
MERGES = (("t", "h"), ("th", "e"), ("i", "n"), ("a", "n"), ("e", "r"), ("Ġ", "t"), ("Ġ", "a"))


@dataclass(frozen=True)
class Shape:
    """The dimensions of a model; rows are multiples of 256, because the K-quants need that."""

    dim: int = 256
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 512
    vocab: int = 512
    context: int = 1024


TINY = Shape()
LARGE = Shape(dim=768, layers=8, heads=12, kv_heads=4, ffn=2048, vocab=4096, context=4096)  # 55 M parameters


def byte_tokens() -> list[str]:
    """The 256 bytes as the printable characters that GPT-2 gave them."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(plain))
    return [table[byte] for byte in range(256)]


def make(
    path: Path, shape: Shape = TINY, *, seed: int = 0, quant: str = "F16", template: str | None = TEMPLATE
) -> Path:
    """Write the model; `quant` is a type that the gguf package can pack (F32, F16, BF16, Q8_0, Q4_0…)."""
    tokens = [*SPECIALS, *byte_tokens(), *("".join(pair) for pair in MERGES)]
    tokens += [f"filler{index}" for index in range(len(tokens), shape.vocab)]
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.dim // shape.heads)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if quant == "F32" else gguf.LlamaFileType[f"MOSTLY_{quant}"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([control] * len(SPECIALS) + [normal] * (len(tokens) - len(SPECIALS)))
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    if template is not None:
        writer.add_chat_template(template)
    _weights(writer, shape, len(tokens), gguf.GGMLQuantizationType[quant], np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _weights(
    writer: gguf.GGUFWriter, shape: Shape, vocab: int, kind: gguf.GGMLQuantizationType, rng: np.random.Generator
) -> None:
    def matrix(name: str, rows: int, columns: int) -> None:
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    def norm(name: str) -> None:
        writer.add_tensor(name, np.ones(shape.dim, dtype=np.float32))

    key_value = shape.dim // shape.heads * shape.kv_heads
    matrix("token_embd.weight", vocab, shape.dim)
    norm("output_norm.weight")
    matrix("output.weight", vocab, shape.dim)
    for index in range(shape.layers):
        block = f"blk.{index}."
        norm(block + "attn_norm.weight")
        norm(block + "ffn_norm.weight")
        matrix(block + "attn_q.weight", shape.dim, shape.dim)
        matrix(block + "attn_k.weight", key_value, shape.dim)
        matrix(block + "attn_v.weight", key_value, shape.dim)
        matrix(block + "attn_output.weight", shape.dim, shape.dim)
        matrix(block + "ffn_gate.weight", shape.ffn, shape.dim)
        matrix(block + "ffn_up.weight", shape.ffn, shape.dim)
        matrix(block + "ffn_down.weight", shape.dim, shape.ffn)
