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

CREATE OR REPLACE VIEW summary AS
WITH s AS (
  SELECT t.run_id, t.cell_id, m.name, any_value(m.unit) AS unit, list_sort(list(m.value)) AS xs, count(*) AS n,
    median(m.value) AS median, mad(m.value) AS mad, avg(m.value) AS mean, stddev_samp(m.value) AS sd
  FROM metric m JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
  WHERE t.status = 'ok' AND NOT t.warmup AND m.value IS NOT NULL
  GROUP BY t.run_id, t.cell_id, m.name
), f AS (
  SELECT run_id, cell_id, count(*) AS failed FROM trial
  WHERE final AND NOT warmup AND status <> 'ok' GROUP BY run_id, cell_id
), d AS (
  SELECT s.*, coalesce(i.depth, floor((s.n + 1) / 2 - 0.98 * sqrt(s.n)))::INTEGER AS depth, coalesce(i.weight, 0) AS weight
  FROM s LEFT JOIN ci95 i ON i.n = s.n
)
SELECT d.run_id, r.bench, r.simulated,
  $summary_axes
  d.name AS metric, d.unit, d.n::INTEGER AS n, d.median, d.mad,
  CASE WHEN d.n < 8 THEN d.xs[1] ELSE (1 - d.weight) * d.xs[d.depth] + d.weight * d.xs[d.depth + 1] END AS low,
  CASE WHEN d.n < 8 THEN d.xs[-1] ELSE (1 - d.weight) * d.xs[-d.depth] + d.weight * d.xs[-d.depth - 1] END AS high,
  CASE WHEN d.n < 8 THEN 'range' ELSE '95 %' END AS "interval",
  d.xs[1] AS least, d.xs[-1] AS most, d.mean, d.sd, d.sd / nullif(abs(d.mean), 0) AS cv,
  coalesce(f.failed, 0)::INTEGER AS failed, d.cell_id
FROM d
JOIN run r ON r.run_id = d.run_id
JOIN cell c ON c.run_id = d.run_id AND c.cell_id = d.cell_id
LEFT JOIN f ON f.run_id = d.run_id AND f.cell_id = d.cell_id;

CREATE OR REPLACE VIEW llama_bench AS
WITH o AS (
  SELECT run_id, trial_id, sum(prompt_tokens) AS prompt, sum(output_tokens) AS output
  FROM output GROUP BY run_id, trial_id
), p AS (
  SELECT t.run_id, t.cell_id, t.device, m.name, t.used, t.wall_ns, m.value AS rate,
    CASE m.name WHEN 'prefill_rate' THEN o.prompt ELSE o.output END AS tokens
  FROM metric m
  JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
  JOIN o ON o.run_id = m.run_id AND o.trial_id = m.trial_id
  WHERE t.status = 'ok' AND NOT t.warmup AND m.value > 0 AND m.name IN ('prefill_rate', 'decode_rate')
), g AS (
  SELECT run_id, cell_id, device, name, any_value(used) AS u, any_value(used->'columns') AS k, min(wall_ns) AS began, median(tokens)::BIGINT AS tokens,
    list(rate ORDER BY wall_ns) AS rates, list((tokens * 1e9 / rate)::BIGINT ORDER BY wall_ns) AS times
  FROM p GROUP BY run_id, cell_id, device, name
)
SELECT coalesce(g.k->>'build_commit', g.u->>'build') AS build_commit, (g.k->>'build_number')::BIGINT AS build_number,
  coalesce(g.k->>'cpu_info', d.facts->>'cpu') AS cpu_info,
  CASE WHEN g.k IS NULL THEN array_to_string((g.u->>'devices')::VARCHAR[], ', ') ELSE g.k->>'gpu_info' END AS gpu_info,
  coalesce(g.k->>'backends', g.u->>'backend') AS backends, a.path AS model_filename,
  g.u->>'model_type' AS model_type, (g.u->>'model_size')::BIGINT AS model_size,
  (g.u->>'model_params')::BIGINT AS model_n_params, (g.u->>'n_batch')::BIGINT AS n_batch,
  (g.u->>'n_ubatch')::BIGINT AS n_ubatch, (g.u->>'n_threads')::BIGINT AS n_threads, coalesce(g.k->>'cpu_mask', g.u->>'affinity') AS cpu_mask,
  g.u->>'type_k' AS type_k, g.u->>'type_v' AS type_v, (g.u->>'n_gpu_layers')::BIGINT AS n_gpu_layers,
  g.u->>'flash_attention' AS flash_attn, (g.u->>'mmap')::BOOLEAN AS use_mmap,
  CASE g.name WHEN 'prefill_rate' THEN g.tokens ELSE 0 END AS n_prompt,
  CASE g.name WHEN 'decode_rate' THEN g.tokens ELSE 0 END AS n_gen,
  coalesce(try_cast(c.attributes['workload_depth'] AS BIGINT), 0) AS n_depth,
  strftime(make_timestamp_ns(g.began), '%Y-%m-%dT%H:%M:%SZ') AS test_time,
  list_avg(g.times)::BIGINT AS avg_ns, coalesce(list_stddev_samp(g.times), 0)::BIGINT AS stddev_ns,
  list_avg(g.rates) AS avg_ts, coalesce(list_stddev_samp(g.rates), 0) AS stddev_ts, g.times AS samples_ns,
  g.rates AS samples_ts, g.run_id, g.cell_id, c.axes, g.u->>'tool' AS tool
FROM g
JOIN cell c ON c.run_id = g.run_id AND c.cell_id = g.cell_id
LEFT JOIN device d ON d.run_id = g.run_id AND d.device = g.device
LEFT JOIN artifact a
  ON a.run_id = g.run_id AND a.model = c.axes['model'] AND a.quant IS NOT DISTINCT FROM c.axes['quant'];

CREATE OR REPLACE VIEW energy AS
SELECT t.run_id, r.bench, r.simulated, t.trial_id, t.cell_id, c.axes, t.rep, m.name AS metric, m.value, m.unit,
  m.uncertainty, m.method, m.reason
FROM metric m
JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
JOIN run r ON r.run_id = m.run_id
JOIN cell c ON c.run_id = t.run_id AND c.cell_id = t.cell_id
WHERE NOT t.warmup AND (m.name LIKE 'energy%' OR m.name IN ('power', 'battery_drain'));

CREATE OR REPLACE VIEW throttling AS
WITH m AS (
  SELECT run_id, trial_id, max(value) FILTER (name = 'throttle_onset') AS throttle_onset,
    max(value) FILTER (name = 'sustained_ratio') AS sustained_ratio,
    max(value) FILTER (name = 'decode_rate') AS decode_rate, max(value) FILTER (name = 'cpu_freq') AS cpu_freq
  FROM metric GROUP BY run_id, trial_id
), s AS (
  SELECT run_id, trial_id, max(value) FILTER (channel LIKE 'soc\_temp%' ESCAPE '\') AS soc_temp_most,
    max(value) FILTER (channel LIKE 'thermal\_status%' ESCAPE '\') AS thermal_status_most
  FROM sample GROUP BY run_id, trial_id
)
SELECT t.run_id, r.bench, r.simulated, t.trial_id, t.cell_id, c.axes, t.rep, t.block, t.place, m.decode_rate,
  m.throttle_onset, m.sustained_ratio, m.cpu_freq, s.soc_temp_most, s.thermal_status_most, t.flags
FROM trial t
JOIN run r ON r.run_id = t.run_id
JOIN cell c ON c.run_id = t.run_id AND c.cell_id = t.cell_id
LEFT JOIN m ON m.run_id = t.run_id AND m.trial_id = t.trial_id
LEFT JOIN s ON s.run_id = t.run_id AND s.trial_id = t.trial_id
WHERE t.status = 'ok' AND NOT t.warmup;

CREATE OR REPLACE VIEW pareto AS
WITH p AS (
  SELECT t.run_id, t.device, t.cell_id, count(DISTINCT t.trial_id)::INTEGER AS n,
    median(m.value) FILTER (m.name = 'decode_rate') AS decode_rate,
    median(m.value) FILTER (m.name = 'peak_memory') AS peak_memory,
    median(m.value) FILTER (m.name = 'ttft') AS ttft,
    median(m.value) FILTER (m.name = 'energy_per_token') AS energy_per_token
  FROM metric m JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
  WHERE t.status = 'ok' AND NOT t.warmup GROUP BY t.run_id, t.device, t.cell_id
)
SELECT p.run_id, r.bench, r.simulated, p.device, c.axes, p.decode_rate, p.ttft, p.peak_memory, p.energy_per_token, p.n,
  p.cell_id
FROM p
JOIN run r ON r.run_id = p.run_id
JOIN cell c ON c.run_id = p.run_id AND c.cell_id = p.cell_id
WHERE p.decode_rate IS NOT NULL AND p.peak_memory IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM p q
  WHERE q.run_id = p.run_id AND q.device = p.device
    AND q.decode_rate >= p.decode_rate AND q.peak_memory <= p.peak_memory
    AND coalesce(q.energy_per_token <= p.energy_per_token, true)
    AND (q.decode_rate > p.decode_rate OR q.peak_memory < p.peak_memory
         OR coalesce(q.energy_per_token < p.energy_per_token, false))
)
