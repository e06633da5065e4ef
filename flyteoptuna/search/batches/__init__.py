"""A search in batches as a graph of Flyte: what compiles to which nodes, and what each of its driver pods does."""
