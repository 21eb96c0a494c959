-- Inter-token latency per cell: percentiles over all gaps, in ms.
WITH gap AS (
  SELECT t.run_id, t.cell_id,
    k.t_ns - lag(k.t_ns) OVER (PARTITION BY k.run_id, k.trial_id, k.request ORDER BY k.idx) AS ns
  FROM token k JOIN trial t ON t.run_id = k.run_id AND t.trial_id = k.trial_id
  WHERE t.status = 'ok' AND NOT t.warmup
), q AS (
  SELECT run_id, cell_id, count(ns) AS gaps, quantile_cont(ns, [0.5, 0.95, 0.99]) AS q, max(ns) AS most
  FROM gap GROUP BY run_id, cell_id
)
SELECT q.run_id, c.axes, q.gaps, q.q[1] / 1e6 AS p50_ms, q.q[2] / 1e6 AS p95_ms, q.q[3] / 1e6 AS p99_ms, q.most / 1e6 AS max_ms
FROM q JOIN cell c ON c.run_id = q.run_id AND c.cell_id = q.cell_id
ORDER BY q.run_id, c.seq
