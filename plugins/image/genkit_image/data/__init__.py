"""Digits, folders, IDX files and hub datasets as genkit datasets."""
