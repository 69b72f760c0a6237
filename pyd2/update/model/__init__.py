"""What is to be done: kinds of transactions, domains and their servers, zones."""
