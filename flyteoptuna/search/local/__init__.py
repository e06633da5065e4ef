"""A search in batches on this machine: the loop, the study that is kept, and the worker processes it starts."""
