"""What is known of a host and a target: readings, units, estimates, health.

The lowest room: every other room may import it, it imports none of them.
"""
