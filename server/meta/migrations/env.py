"""Run by alembic: brings the database that :func:`zuji.server.meta.store.open_store` opened up to
date, in its connection.
"""

from alembic import context

from zuji.server.meta.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter columns
)
with context.begin_transaction():
    context.run_migrations()
