"""Generators and critics of text."""
