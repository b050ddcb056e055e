"""What is wrong with a recording, how bad it is, and what to do about it."""
