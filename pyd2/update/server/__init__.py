"""What is known of one DNS server: its lane, in-flight window, circuit breaker and quarantined query IDs."""
