-- ledger: every document that was read, and what became of it.
-- One row per document with its outcome (quarantined, dropped, duplicate or kept), the reason with the measured value and
-- the threshold it failed, and its tokens, dropped documents too. Units and meanings: `assay sql "DESCRIBE ledger"`,
-- docs/design.md, or the field metadata of the Parquet files.
SELECT * FROM ledger_parts
