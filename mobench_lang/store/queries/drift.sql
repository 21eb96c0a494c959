-- Drift over the run: decode rate of each block relative to the median of the same cells.
WITH v AS (
  SELECT t.run_id, t.cell_id, t.block, t.wall_ns, m.value
  FROM metric m JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
  WHERE m.name = 'decode_rate' AND m.value > 0 AND t.status = 'ok' AND NOT t.warmup
), r AS (
  SELECT run_id, block, wall_ns, value / median(value) OVER (PARTITION BY run_id, cell_id) AS ratio FROM v
)
SELECT run_id, block, count(*) AS trials, median(ratio) AS relative_decode_rate, min(ratio) AS least, max(ratio) AS most,
  make_timestamp_ns(min(wall_ns)) AS began
FROM r GROUP BY run_id, block ORDER BY run_id, block
