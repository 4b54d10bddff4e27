"""Recipes: a config each, and the experiment built from it."""
