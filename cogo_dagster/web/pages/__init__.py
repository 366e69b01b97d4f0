"""The dashboard: pages rendered by the server; a script reloads them when something has changed."""
