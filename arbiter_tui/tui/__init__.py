"""The cockpit. Owns: the screen and its keys. Never: engine objects; it knows only the client and the snapshot."""
