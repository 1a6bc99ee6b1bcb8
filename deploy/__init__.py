"""backstay: deploy a Docker Compose application with Alembic migrations over SSH, or leave it as it was."""

__version__ = "0.1.0"
