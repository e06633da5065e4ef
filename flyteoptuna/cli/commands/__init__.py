"""The commands, one per module; the folder above holds what they share."""
