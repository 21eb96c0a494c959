-- Memory at the end of each phase: the most over all trials of a cell, in MiB.
SELECT t.run_id, c.axes, m.phase, m.method, max(m.bytes) / 1048576.0 AS most_mib, median(m.bytes) / 1048576.0 AS median_mib
FROM memory m
JOIN trial t ON t.run_id = m.run_id AND t.trial_id = m.trial_id
JOIN cell c ON c.run_id = t.run_id AND c.cell_id = t.cell_id
WHERE t.status = 'ok' AND NOT t.warmup
GROUP BY t.run_id, c.seq, c.axes, m.phase, m.method ORDER BY t.run_id, c.seq, min(m.t_ns)
