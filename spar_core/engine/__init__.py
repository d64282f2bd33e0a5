"""Chat engines: the protocol, the client, and the servers that can be started."""
