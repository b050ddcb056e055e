"""The plan, the record and the models of a run."""
