"""Images for genkit: datasets, models, recipes, augmentation, metrics and writers."""
