"""What to run: a config and the experiment it stands for."""
