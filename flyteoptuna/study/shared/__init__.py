"""The study of a search whose workers share a journal: claims of trials, asking, telling, and the final study."""
