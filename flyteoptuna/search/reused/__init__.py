"""A search with reused pods: three nodes, whose workers share the study by a journal."""
