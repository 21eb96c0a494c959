-- What was sampled per channel: readings, least, mean, most.
SELECT s.run_id, s.channel, any_value(h.unit) AS unit, count(*) AS readings, min(s.value) AS least, avg(s.value) AS mean,
  max(s.value) AS most, any_value(h.source) AS source
FROM sample s
JOIN trial t ON t.run_id = s.run_id AND t.trial_id = s.trial_id
LEFT JOIN channel h ON h.run_id = s.run_id AND h.trial_id = s.trial_id AND h.channel = s.channel
WHERE NOT t.warmup
GROUP BY s.run_id, s.channel ORDER BY s.run_id, s.channel
