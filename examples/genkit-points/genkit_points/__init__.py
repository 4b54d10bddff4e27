"""2-D point sets for genkit: mixtures of Gaussians whose every mode is known, so that a lost one shows."""

from __future__ import annotations
