"""Access to a Supabase project: its address, its key, its HTTP connections."""
