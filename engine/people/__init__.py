"""People as groups: what is kept about sets of users beside their events (cohorts, tags, …)."""
