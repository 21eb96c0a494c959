-- decode_rate computed again from the stamps in `token`, beside what is stored; they must agree.
WITH request AS (
  SELECT run_id, trial_id, request, count(*) - 1 AS tokens, max(t_ns) - min(t_ns) AS ns
  FROM token GROUP BY run_id, trial_id, request HAVING count(*) > 1
), again AS (
  SELECT run_id, trial_id, sum(tokens) * 1e9 / sum(ns) AS rate FROM request GROUP BY run_id, trial_id
)
SELECT t.run_id, t.trial_id, m.value AS stored, a.rate AS again, abs(m.value / a.rate - 1) AS difference
FROM metric m
JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
LEFT JOIN again a ON a.run_id = m.run_id AND a.trial_id = m.trial_id
WHERE m.name = 'decode_rate' AND m.value IS NOT NULL
ORDER BY difference DESC, t.run_id, t.trial_id
