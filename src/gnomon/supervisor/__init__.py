"""Supervisor: starts, watches and replaces the processes; owns the listening socket, the admin port and the metrics.

Reads     the state database (plan, epochs), the gateways' counter files, the ledger
Promises  the plan is sealed before the port opens; a child that dies is replaced; a drain loses no request; an epoch
          reaches every gateway within 200 ms; if the supervisor dies, gateways serve on and the next one takes over
"""
