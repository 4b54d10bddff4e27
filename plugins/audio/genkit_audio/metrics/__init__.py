"""Scores of waveforms: against the real one of the same condition, and against real ones as a whole."""
