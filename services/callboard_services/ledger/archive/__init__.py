"""The archive: trees that are over, as Parquet files that anybody can read; what is in one leaves the journal."""
