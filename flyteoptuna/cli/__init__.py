"""The command line, a module for each command. Uses what a user of Python could use, and says errors in one line."""
