-- What did not become a good trial, by reason.
SELECT t.run_id, t.status, t.reason, t.device, count(*) AS trials, count(*) FILTER (t.final) AS final,
  count(DISTINCT t.cell_id) AS cells, min(t.detail) AS detail, min(t.folder) AS folder
FROM trial t WHERE t.status <> 'ok' AND NOT t.warmup
GROUP BY t.run_id, t.status, t.reason, t.device
ORDER BY t.run_id, trials DESC, t.reason
