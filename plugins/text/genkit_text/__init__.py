"""Text for genkit. Importing this package loads nothing; genkit loads `genkit_text.plugin`."""
