-- The columns that llama-bench prints, for a comparison with that tool by hand.
SELECT run_id, model_type AS model, round(model_size / 1048576.0, 2) AS size_mib, model_n_params AS params, backends AS backend,
  n_threads AS threads, CASE WHEN n_gen = 0 THEN 'pp' || n_prompt ELSE 'tg' || n_gen END
    || CASE WHEN n_depth > 0 THEN ' @ d' || n_depth ELSE '' END AS test,
  avg_ts AS tokens_per_s, stddev_ts AS sd, len(samples_ts) AS n, axes
FROM llama_bench ORDER BY run_id, cell_id, n_gen
