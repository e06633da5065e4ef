"""A search with reused pods: three nodes, or processes of this machine, whose workers share the study by a journal."""
