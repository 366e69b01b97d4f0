"""Tests of the database itself: access rights, migrations, and concurrent sessions."""
