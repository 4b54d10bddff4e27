"""Augmentation of the images a critic sees."""
