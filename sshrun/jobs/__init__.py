"""The life of a job, as the client sees it."""
