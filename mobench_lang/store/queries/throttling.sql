-- Sustained runs: when the rate dropped, and what remained of its peak.
SELECT * FROM throttling ORDER BY run_id, sustained_ratio NULLS LAST, trial_id
