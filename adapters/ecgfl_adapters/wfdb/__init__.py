"""PhysioNet WFDB records: `x.hea` with its signal files and annotations."""
