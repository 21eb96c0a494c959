-- Cells that no other cell of the device beats in decode rate, memory and energy at once.
SELECT * FROM pareto ORDER BY run_id, device, decode_rate DESC
