"""Mode coverage: data whose modes are known, and ``genkit bench image``."""
