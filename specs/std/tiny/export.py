"""Write a trained model as one F16 GGUF file, and prove that llama.cpp computes the same with it.

python export.py RUN tiny-f16.gguf      RUN is the folder that train.py filled
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from llama_cpp import Llama as LlamaCpp
from model import Config, Llama
from tokenizer import END_ID
from tokenizers import Tokenizer

NAME = "mobench tiny"
DESCRIPTION = "A very small model that proves a benchmark's correctness; it knows invented people, capitals and sums."

# A chat is written as the documents of the training text are: each exchange is one document that starts and ends with
# the end token.  Whatever is neither asked nor answered (a system message) is a document of its own.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'Question: ' + (message['content'] | trim) + '\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Answer: ' + (message['content'] | trim) + eos_token }}"
    "{% else %}{{ (message['content'] | trim) + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Answer:' }}{% endif %}"
)

ODD_TEXTS = [
    "",
    " ",
    "  two  spaces ",
    "\n",
    "a\nb\r\nc\t",
    "don't DON'T it's",
    "é ü 東京 🙂",
    "x=1234567;y",
    "A.B,C!?…",
    'def f(x):\n    return {"a": [1, 2]}\n',
    "Answer:\n\n\nQuestion:   ",
]


def load(run: Path) -> tuple[Llama, Tokenizer]:
    """Read the trained model, with the weights rounded to what F16 holds, and its tokenizer."""
    saved = torch.load(run / "model.pt", weights_only=True)
    model = Llama(Config(**saved["config"]))
    model.load_state_dict({k: v.half().float() if v.dim() == 2 else v for k, v in saved["model"].items()})
    return model.eval(), Tokenizer.from_file(str(run / "tokenizer.json"))


def write_gguf(run: Path, path: Path) -> None:
    """Write the GGUF: matrices as F16, the norms' vectors as F32."""
    model, _ = load(run)
    config = model.config
    bpe = json.loads((run / "tokenizer.json").read_text("utf-8"))["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.theta)
    writer.add_layer_norm_rms_eps(config.eps)
    writer.add_vocab_size(config.vocab)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokens) - 1))
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(END_ID)
    writer.add_eos_token_id(END_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(name, tensor.numpy().astype(np.float16) if tensor.dim() == 2 else tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def compare(run: Path, path: Path, docs: list[str]) -> dict[str, float]:
    """Compare llama.cpp with torch: the tokens of texts, and the logits over one whole context."""
    model, tokenizer = load(run)
    other = LlamaCpp(str(path), n_ctx=model.config.context, n_batch=256, logits_all=True, verbose=False)
    texts = docs + ODD_TEXTS
    alike = sum(tokenizer.encode(t).ids == other.tokenize(t.encode(), add_bos=False, special=False) for t in texts)
    ids = [i for doc in docs for i in [END_ID, *tokenizer.encode(doc).ids]][: model.config.context]
    mine = model(torch.tensor([ids]))[0].numpy()
    other.eval(ids)
    theirs = other.scores[: len(ids)]
    report = {
        "texts": len(texts),
        "texts_tokenized_alike": alike,
        "positions": len(ids),
        "largest_difference_of_logits": round(float(np.abs(mine - theirs).max()), 4),
        "largest_logit": round(float(np.abs(mine).max()), 1),
        "same_best_token": round(float((mine.argmax(1) == theirs.argmax(1)).mean()), 4),
    }
    if alike < len(texts) or report["same_best_token"] < 0.99:
        raise ValueError(f"llama.cpp does not compute what torch computes: {report}")
    return report


def main() -> None:
    """Write the file and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("gguf", type=Path)
    args = parser.parse_args()
    write_gguf(args.run, args.gguf)
    here = Path(__file__).resolve().parent
    docs = (here / "heldout.txt").read_text("utf-8").split("\n\n")[:200]
    print(f"{args.gguf}: {args.gguf.stat().st_size / 1e6:.2f} MB, {compare(args.run, args.gguf, docs)}")


if __name__ == "__main__":
    main()
