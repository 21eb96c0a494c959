-- What became of every expect and warn.
SELECT run_id, severity, status, text, groups, cells, failing, unsure, worst, value, lo, hi, bound, unit, n, failed, few, reason
FROM verdict ORDER BY run_id, expectation, groups
