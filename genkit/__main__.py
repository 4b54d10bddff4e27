"""``python -m genkit``: the command, whatever else is called genkit on PATH."""

from genkit.cli.main import main

if __name__ == "__main__":
    main()
