"""Keeps a command whose code nobody vouches for from the worker's secrets and from everything outside its folder.

`machine.py` finds out what the machine offers, `confinement.py` makes a plan for one job, and `launcher.py`, a process
of its own between the guard and the command, carries it out: `namespaces.py`, `landlock.py`, `seccomp.py`.
"""
