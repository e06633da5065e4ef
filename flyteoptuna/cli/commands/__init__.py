"""The commands, a module each; what they share of loading, tables and errors is beside this folder."""
