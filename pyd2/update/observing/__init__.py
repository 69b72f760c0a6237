"""What the engine counts only while metrics, the web page or the history are on."""
