"""The tiny model's tokenizer: byte-level BPE, a token for each digit, a special token that starts and ends texts."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|end|>"  # token 0: stands before and after every document, so it is both BOS and EOS
END_ID = 0

# The way of cutting text that llama.cpp calls "qwen2": words with the blank before them, digits one by one.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(docs: list[str], size: int) -> Tokenizer:
    """Learn `size` tokens from the documents; every byte is one of them, so any text can be written."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        docs,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[END],
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    if tokenizer.get_vocab_size() != size or tokenizer.token_to_id(END) != END_ID:
        raise ValueError(f"the text gives {tokenizer.get_vocab_size()} tokens, not {size}")
    return tokenizer
