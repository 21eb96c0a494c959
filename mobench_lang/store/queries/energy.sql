-- Energy of every trial with its method, or why there is none.
SELECT * FROM energy ORDER BY run_id, trial_id, metric
