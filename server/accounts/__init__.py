"""Who signs in to the console: accounts, their passwords and sessions, and what each may do."""
