"""From the official annotations of a public data set to our lists; what the `datasets/*/prepare.py` share."""
