"""All settings of a run, each with the place it comes from."""
