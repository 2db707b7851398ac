-- mix(name, budget := NULL): what a mix asks of each source, in training tokens.
-- Without a budget it is the largest that repeats no token: the source that ends first (`binding`, of several the first
-- by name) bounds it. With one, `epochs` above 1 say which sources repeat. Weights are whole numbers (of a fixed mix in
-- the proportions of its shares; of a proportional one the training tokens that are there), and the tokens that are left
-- after rounding down go to the largest remainders, so that they sum to the budget.
WITH asked AS (
    SELECT
        w.source,
        s."group",
        CASE
            WHEN s.source IS NULL THEN error('the mix ' || name || ' asks for ' || w.source || ', which is not there')
            ELSE s.training_tokens
        END AS available,
        w.weight
    FROM mix_shares AS w LEFT JOIN supply AS s USING (source)
    WHERE w.mix = name
    UNION ALL
    SELECT source, "group", training_tokens, training_tokens
    FROM supply
    WHERE
        CASE
            WHEN NOT EXISTS (FROM mixes WHERE mix = name) THEN error('there is no mix ' || name)
            WHEN budget <= 0 THEN error('a budget must be above 0')
            ELSE EXISTS (FROM mixes WHERE mix = name AND strategy = 'proportional')
        END
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
),
rounded AS (
    SELECT
        *,
        coalesce(budget, largest)::HUGEINT * weight // weights AS whole,
        coalesce(budget, largest)::HUGEINT * weight % weights AS remainder
    FROM bounded
),
apportioned AS (
    SELECT
        *,
        whole
            + (row_number() OVER (ORDER BY remainder DESC, source) <= coalesce(budget, largest) - sum(whole) OVER ())::INT
            AS tokens
    FROM rounded
)
SELECT
    source,
    "group",
    (weight / weights)::DOUBLE AS share,
    (100 * weight / weights)::DOUBLE AS percent,
    tokens::BIGINT AS tokens,
    available::BIGINT AS available,
    tokens / nullif(available, 0) AS epochs,
    source IS NOT DISTINCT FROM first_to_end AS binding
FROM apportioned
ORDER BY weight DESC, source
