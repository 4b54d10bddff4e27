"""The audio recipes."""
