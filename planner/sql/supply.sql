-- supply: what there is to train on, per source.
-- Counts of the documents that are kept, from the manifests' totals: no row is read. `tokens` are the documents' own ids;
-- training adds one end-of-document token each, so training_tokens = tokens + documents. Counts belong to one tokenizer;
-- those of different ones never add. A source whose `state` is not 'current' is not what the lake now holds.
SELECT
    s.corpus AS source,
    s."group",
    coalesce(sum(t.documents) FILTER (outcome = 'kept'), 0)::BIGINT AS documents,
    coalesce(sum(t.chars) FILTER (outcome = 'kept'), 0)::BIGINT AS chars,
    coalesce(sum(t.tokens) FILTER (outcome = 'kept'), 0)::BIGINT AS tokens,
    coalesce(sum(t.tokens + t.documents) FILTER (outcome = 'kept'), 0)::BIGINT AS training_tokens,
    'measured' AS known,
    s.state,
    s.provisional,
    s.sample,
    s.tokenizer,
    s.manifest
FROM sources AS s LEFT JOIN totals AS t USING (corpus)
GROUP BY ALL
ORDER BY tokens DESC, source
