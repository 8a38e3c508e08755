"""What each command does. Owns: the words that a command prints. Never: a decision, a model, a row of its own."""
