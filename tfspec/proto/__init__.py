"""The schema of the config: data and comments, no logic."""
