-- Where the time of a trial goes: median time of each phase, per cell.
SELECT t.run_id, c.axes, p.name AS phase, count(*) AS windows,
  median(p.end_ns - p.start_ns) / 1e6 AS median_ms, sum(p.end_ns - p.start_ns) / 1e6 AS total_ms
FROM phase p
JOIN trial t ON t.run_id = p.run_id AND t.trial_id = p.trial_id
JOIN cell c ON c.run_id = t.run_id AND c.cell_id = t.cell_id
WHERE t.status = 'ok' AND NOT t.warmup
GROUP BY t.run_id, c.seq, c.axes, p.name
ORDER BY t.run_id, c.seq, min(p.start_ns)
