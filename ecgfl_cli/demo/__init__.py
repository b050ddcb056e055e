"""A first look at ecgfl without any recording of one's own."""
