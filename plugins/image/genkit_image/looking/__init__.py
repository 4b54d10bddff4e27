"""Looking at what a run has learnt: the views of ``genkit inspect``."""
