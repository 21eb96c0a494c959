-- The 20 longest gaps between two tokens, with where they were.
WITH gap AS (
  SELECT run_id, trial_id, request, idx,
    t_ns - lag(t_ns) OVER (PARTITION BY run_id, trial_id, request ORDER BY idx) AS ns
  FROM token
)
SELECT g.run_id, g.ns / 1e6 AS gap_ms, g.trial_id, g.request, g.idx, t.warmup, t.block, t.flags, c.axes
FROM gap g
JOIN trial t ON t.run_id = g.run_id AND t.trial_id = g.trial_id
JOIN cell c ON c.run_id = t.run_id AND c.cell_id = t.cell_id
WHERE g.ns IS NOT NULL
ORDER BY g.ns DESC
LIMIT 20
