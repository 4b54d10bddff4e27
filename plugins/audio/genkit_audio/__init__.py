"""Waveforms for genkit. Importing this package loads nothing; genkit loads `genkit_audio.plugin`."""
