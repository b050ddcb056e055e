"""From a recording to annotated beats, ectopy statistics and report files."""
