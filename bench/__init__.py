"""`make bench`: what the product does in a second, beside the limit or the baseline measured in the same run."""
