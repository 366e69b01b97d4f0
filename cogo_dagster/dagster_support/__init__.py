"""What the definitions are built from: resources, storage, hooks, reading and reporting. No definition is here."""
