"""Files of ACME's Holter recorders for ecgfl."""
