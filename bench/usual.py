"""The usual way from JSON lines to token ids in Parquet: Hugging Face `datasets` with `tokenizers`, in one process."""

import sys

from datasets import load_dataset
from tokenizers import Tokenizer


def main(raw: str, tokenizer_json: str, cache: str, parquet: str) -> None:
    """Tokenize the field `text` of every line; `cache` is where the library keeps what it makes on the way."""
    tokenizer = Tokenizer.from_file(tokenizer_json)

    def encode(batch: dict[str, list]) -> dict[str, list]:
        return {"tokens": [e.ids for e in tokenizer.encode_batch(batch["text"], add_special_tokens=False)]}

    lines = load_dataset("json", data_files=raw, split="train", cache_dir=cache)
    lines.map(encode, batched=True, remove_columns=lines.column_names).to_parquet(parquet)


if __name__ == "__main__":
    main(*sys.argv[1:])
