"""The record of a night: what is stored, who writes it, how it is read again."""
