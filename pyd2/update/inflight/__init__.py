"""Updates under way: their query IDs, deadlines and replies."""
