"""The load: what is asked for, how it is paced, and the processes that make it."""
