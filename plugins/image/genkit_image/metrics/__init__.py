"""Feature extractors of images and the metrics measured in them."""
