"""Tags (标签): a value a user and day, made by a rule, imported, or given by hand. docs/tags.md."""
