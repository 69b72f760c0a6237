"""The Kea releases that pyd2 can behave like. Their differences are values, passed down from the start."""
