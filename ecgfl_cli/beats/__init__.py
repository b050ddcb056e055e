"""From a recording to beats: conditioning, QRS detection, AAMI classes, windows and RR context."""
