"""A Supabase project for the tests: imitations of PostgREST, Storage and Realtime over the real test database."""
