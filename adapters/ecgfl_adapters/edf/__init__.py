"""European Data Format files: EDF, EDF+C, EDF+D, BDF and BDF+."""
