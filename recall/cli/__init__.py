"""The `recall` command, the one composition root."""
