"""Files that a run writes: records, rows, Parquet parts."""
