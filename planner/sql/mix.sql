-- mix(name, budget := NULL): what a mix asks of each source, in training tokens.
-- Without a budget it is the largest that repeats no token: the source that ends first (`binding`) bounds it. With one,
-- `epochs` above 1 say which sources repeat. Weights are whole numbers (of a fixed mix: shares x 10^12; of a proportional
-- one: the training tokens that are there), so that nothing is rounded but the last token of a source.
WITH asked AS (
    SELECT w.source, s."group", coalesce(s.training_tokens, 0) AS available, w.weight
    FROM mix_shares AS w LEFT JOIN supply AS s USING (source)
    WHERE w.mix = name
    UNION ALL
    SELECT source, "group", training_tokens, training_tokens
    FROM supply
    WHERE EXISTS (FROM mixes WHERE mix = name AND strategy = 'proportional')
),
limited AS (
    SELECT *, sum(weight) OVER () AS weights, available::HUGEINT * (sum(weight) OVER ()) // weight AS at_most
    FROM asked
    WHERE weight > 0
),
bounded AS (
    SELECT
        *,
        min(at_most) OVER () AS largest,
        -- Where all sources end together, none of them binds.
        CASE WHEN min(at_most) OVER () < max(at_most) OVER () THEN first(source) OVER (ORDER BY at_most, source) END AS first_to_end
    FROM limited
)
SELECT
    source,
    "group",
    (weight / weights)::DOUBLE AS share,
    (100 * weight / weights)::DOUBLE AS percent,
    (coalesce(budget, largest)::HUGEINT * weight // weights)::BIGINT AS tokens,
    available::BIGINT AS available,
    (coalesce(budget, largest)::HUGEINT * weight // weights) / nullif(available, 0) AS epochs,
    source IS NOT DISTINCT FROM first_to_end AS binding
FROM bounded
ORDER BY weight DESC, source
