"""Tables of numbers in text: CSV and what programs of devices export."""
