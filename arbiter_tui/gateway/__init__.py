"""HTTP in. Owns: dialects, their errors and headers. Never: a decision about models (the engine's), a database."""
