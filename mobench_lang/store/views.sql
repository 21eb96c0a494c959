CREATE OR REPLACE VIEW results AS
WITH m AS (
  SELECT run_id, trial_id,
    $pivot
  FROM metric GROUP BY run_id, trial_id
)
SELECT t.run_id, r.bench, r.simulated,
  $axes$metrics,
  t.trial_id, t.cell_id, t.rep, t.attempt, make_timestamp_ns(t.wall_ns) AS started, t.flags$attributes
FROM trial t
JOIN run r ON r.run_id = t.run_id
JOIN cell c ON c.run_id = t.run_id AND c.cell_id = t.cell_id
LEFT JOIN m ON m.run_id = t.run_id AND m.trial_id = t.trial_id
WHERE t.status = 'ok' AND NOT t.warmup;

