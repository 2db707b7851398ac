-- documents: the text and metadata of every document, joined with its quality signals.
-- Quarantined records have a null text and say why in `quarantine`. Reading `text` reads the large files.
SELECT d.*, s.* EXCLUDE (doc_id)
FROM documents_parts AS d JOIN signals_parts AS s USING (doc_id)
