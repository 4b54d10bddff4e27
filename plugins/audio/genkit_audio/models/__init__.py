"""Generators and critics of waveforms."""
