"""The commands, a few per module; cli.py imports a module only when one of its commands is called."""
