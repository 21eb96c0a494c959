-- Every run with its trials by status.
SELECT r.run_id, r.bench, r.simulated, r.complete, make_timestamp_ns(r.created_ns) AS created,
  count(t.trial_id) FILTER (t.status = 'ok') AS ok, count(t.trial_id) FILTER (t.final AND t.status = 'failed') AS failed,
  count(t.trial_id) FILTER (t.final AND t.status = 'invalid') AS invalid,
  count(t.trial_id) FILTER (t.final AND t.status = 'skipped') AS skipped, r.labels
FROM run r LEFT JOIN trial t ON t.run_id = r.run_id AND NOT t.warmup
GROUP BY ALL ORDER BY created, r.run_id
