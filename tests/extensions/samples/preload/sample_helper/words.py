"""A helper of the sample."""

word = "helped"
