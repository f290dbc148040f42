"""The virtual environment on the host: what it is to hold, and wheels for a host without internet."""
