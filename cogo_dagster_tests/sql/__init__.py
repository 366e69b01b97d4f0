"""Tests of the database itself: who may do what, and what two sessions do to each other."""
