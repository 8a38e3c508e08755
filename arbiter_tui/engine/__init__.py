"""The live state. Owns: instances, leases, routes, swaps, the autopilot's loop. Never: SQL, HTTP, a terminal."""
