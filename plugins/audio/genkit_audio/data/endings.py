"""How the names of files of sounds, and of lists of them, end. Imports nothing, so that the plugin can say it."""

from __future__ import annotations

SUFFIXES = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".caf"})
LISTS = frozenset({".csv", ".tsv", ".jsonl"})
