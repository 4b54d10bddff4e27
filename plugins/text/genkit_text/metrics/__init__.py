"""Scores of texts: against an oracle, against real texts, and against what was asked for."""
