"""The cockpit's regions; each draws one part of a snapshot and nothing else."""
