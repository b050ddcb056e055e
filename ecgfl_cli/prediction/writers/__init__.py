"""One file for each format in which a prediction can be written."""
