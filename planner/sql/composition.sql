-- composition: what the corpus is made of, in the columns of BloombergGPT's Table 1 (Wu et al. 2023).
-- One row per source, one per group (upper case) and a TOTAL; `percent` is of all tokens. The paper prints documents in
-- 10^4, characters and tokens in 10^8; here they are plain counts. Counts of different tokenizers never add: where a
-- group or the total has more than one, its tokens are null until `assay tokenize --all`.
WITH counted AS (
    SELECT
        *,
        (SELECT CASE WHEN count(DISTINCT tokenizer) = 1 THEN sum(tokens) END FROM supply) AS all_tokens
    FROM supply
)
SELECT
    CASE WHEN grouping("group") = 1 THEN 'TOTAL' WHEN grouping(source) = 1 THEN upper("group") ELSE source END AS dataset,
    sum(documents)::BIGINT AS documents,
    sum(chars) / nullif(sum(documents), 0) AS chars_per_document,
    sum(chars)::BIGINT AS chars,
    CASE WHEN count(DISTINCT tokenizer) = 1 THEN sum(chars) / nullif(sum(tokens), 0) END AS chars_per_token,
    CASE WHEN count(DISTINCT tokenizer) = 1 THEN sum(tokens)::BIGINT END AS tokens,
    100 * sum(tokens) / nullif(any_value(all_tokens), 0) AS percent
FROM counted
GROUP BY ROLLUP ("group", source)
ORDER BY grouping("group"), "group", grouping(source) DESC, sum(tokens) DESC, source
