"""Processes: what the supervisor starts beside the gateways. Each is an entry point and wires stages together."""
