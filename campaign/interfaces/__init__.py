"""The screens and command lines: they read, and ask; nothing of theirs can delay the night."""
