"""The dashboard: pages made here, live by the browser asking for them again."""
