"""ecgfl: hospitals train a shared PVC model on their own ECGs; no recording leaves the building."""
