"""A Supabase project seen from outside: its address, its key, its HTTP connections."""
