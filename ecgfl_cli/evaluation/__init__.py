"""Compare beats with a reference by EC57: matching, statistics, intervals and reports."""
