"""How well a set of beats agrees with a reference: EC57 comparison, statistics, intervals and reports."""
