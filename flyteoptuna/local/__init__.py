"""A search on this machine, of either kind: the trials in this process and in worker processes, the study in a file."""
