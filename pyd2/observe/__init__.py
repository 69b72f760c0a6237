"""What an operator sees: log lines and statistics."""
