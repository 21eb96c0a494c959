-- On what the runs were made: devices, engine builds, and what was really used.
SELECT t.run_id, r.bench, t.device, d.identity, d.facts->>'cpu' AS cpu, d.facts->>'os' AS os, d.facts->>'kernel' AS kernel,
  t.used->>'engine' AS engine, t.used->>'build' AS build, t.used->>'backend' AS backend, t.used->>'n_threads' AS threads,
  t.used->>'flash_attention' AS flash_attention, t.used->>'model_desc' AS model, left(t.used->>'model_sha256', 12) AS sha256,
  count(*) AS trials, list_sort(list_distinct(flatten(list(t.flags)))) AS flags
FROM trial t
JOIN run r ON r.run_id = t.run_id
LEFT JOIN device d ON d.run_id = t.run_id AND d.device = t.device
WHERE NOT t.warmup
GROUP BY ALL ORDER BY ALL
