-- What does not follow from the counts of a status: the name of a calendar's window, whether there is a budget at all, and of a
-- composite the burn rates, of each burn window in order and then of the budget window; "-" where nothing was judged.
ALTER TABLE slo_status ADD COLUMN IF NOT EXISTS budget_window LowCardinality(String),
    ADD COLUMN IF NOT EXISTS budgeted Bool DEFAULT true,
    ADD COLUMN IF NOT EXISTS burns Array(String);

ALTER TABLE slo_status MODIFY COLUMN IF EXISTS error_ratio Nullable(Float64) ALIAS multiIf(
        notEmpty(burns), toFloat64OrNull(burns[-1]) * (1 - toFloat64OrZero(objective)),
        judged = 0, NULL, (judged - good) / judged),
    MODIFY COLUMN IF EXISTS budget_remaining Nullable(Float64) ALIAS multiIf(
        NOT budgeted, NULL, notEmpty(burns), 1 - toFloat64OrNull(burns[-1]),
        judged = 0, NULL, 1 - (judged - good) / judged / (1 - toFloat64OrZero(objective)));
