-- drops: what was read and is not kept, per source, outcome and reason.
-- From the manifests' totals: no row is read. `percent` is of all documents of the source. A document counts once, under
-- the first that holds: quarantined, dropped by the first rule that fails, duplicate. Quarantined records have no text.
SELECT
    corpus AS source,
    outcome,
    reason,
    documents,
    100 * documents / sum(documents) OVER (PARTITION BY corpus) AS percent,
    raw_bytes,
    chars,
    tokens
FROM totals
QUALIFY outcome <> 'kept'
ORDER BY source, outcome, documents DESC, reason
