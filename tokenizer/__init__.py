"""Tokenizers: what identifies one, texts to ids, training. Kernels over Arrow arrays; no Beam, no DuckDB, no lake."""
