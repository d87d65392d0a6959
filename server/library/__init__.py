"""What people keep of their work in the server's database: saved analyses and boards."""
