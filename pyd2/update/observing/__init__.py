"""What the engine counts only while somebody looks at it: metrics, and the history."""
