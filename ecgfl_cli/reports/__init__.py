"""HTML pages and their charts. The callers pass plain data; this package imports none of them."""
