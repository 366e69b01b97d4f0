"""Isolates untrusted commands from the worker's secrets and from everything outside their folder.

`machine.py` detects what the machine supports, `confinement.py` creates a plan for one job, and `launcher.py`, a
process between the guard and the command, applies it with `namespaces.py`, `landlock.py` and `seccomp.py`.
"""
