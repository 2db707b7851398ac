"""Training a tokenizer on texts: byte-level BPE as GPT-2 has it.

Source: Sennrich et al. 2016, "Neural machine translation of rare words with subword units", over bytes as in Radford
et al. 2019, "Language models are unsupervised multitask learners", section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenizer.identity import canonical

END_OF_TEXT = "<|endoftext|>"  # id 0
BYTES = 256
MIN_FREQUENCY = 2  # occurrences of a pair before it is merged


def train_bpe(texts: Iterable[pa.LargeStringArray], vocab_size: int) -> bytes:
    """Canonical JSON of a byte-level BPE tokenizer with `vocab_size` ids: `<|endoftext|>` is 0, the 256 bytes follow.

    Texts are split by GPT-2's pattern, no space is put in front, null texts are left out. Any text can be encoded, for
    all bytes are in the vocabulary. There are fewer ids than asked for when no pair that occurs twice is left to merge.
    Only the counts of words matter: neither order nor batching of texts nor the number of threads changes a byte of
    the result. Raises ValueError when `vocab_size` has no room for the 257 ids that are always there.
    """
    if vocab_size < BYTES + 1:
        raise ValueError(f"a byte-level vocabulary has at least {BYTES + 1} ids, not {vocab_size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((batch.drop_null().to_pylist() for batch in texts), trainer)
    return canonical(tokenizer.to_str().encode())
