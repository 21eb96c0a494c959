-- Median, spread and 95 % interval of each metric of each cell.
SELECT * FROM summary ORDER BY ALL
