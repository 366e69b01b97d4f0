"""A Supabase project for the tests: PostgREST, Storage and Realtime as measured, over the real test database."""
