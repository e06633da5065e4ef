"""What users test their searches with: a workflow in processes of its own, and a search in memory."""
