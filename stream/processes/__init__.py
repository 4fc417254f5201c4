"""A server of several processes: a supervisor, an engine that draws, gateways that speak with the browsers."""
