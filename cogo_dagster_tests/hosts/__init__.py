"""Tests with several hosts, each in namespaces of its own: network, processes, host name."""
