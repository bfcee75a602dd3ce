"""Supervisor: starts, watches and replaces the processes; owns the listening socket, the admin port and the metrics.

Reads     the state database (plan, epochs, pauses), the gateways' counter files, the ledger
Promises  the plan is sealed before the port opens; a child that dies is replaced; neither a drain nor a replacement
          loses a request; an epoch and a pause reach every gateway within 200 ms; if the supervisor dies, gateways
          serve on and the next one takes over
"""
