"""The store: DuckDB tables derived from run folders, views, named queries. The only home of `duckdb`."""
