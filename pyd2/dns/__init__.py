"""The wire codec: names, UPDATE messages, replies and TSIG. Bytes in, bytes out; no IO, no clock."""
