"""A search in batches: a graph of driver tasks and maps over the trials."""
