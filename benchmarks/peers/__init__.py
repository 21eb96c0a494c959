"""Tools of others that benchmarks hold mobench against."""
