"""Built-in providers, each registered by entry point as a third party's would be.

Owns: runtimes and their child processes. Never: routing, scoring, the store.
"""
