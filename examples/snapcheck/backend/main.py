"""The HTTP interface. Start it with: uvicorn main:app

During a deployment this code meets a schema that is one release ahead or behind. So statements name the
columns they need: a column that came or went elsewhere in the table does not break them.
"""

import logging
import os
from collections.abc import Iterator
from typing import Annotated, Any

from database import engine
from fastapi import Depends, FastAPI, HTTPException
from models import Comment, User
from pydantic import BaseModel, Field
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

RELEASE = "1"

log = logging.getLogger("uvicorn.error")
app = FastAPI(title="snapcheck")


def session() -> Iterator[Session]:
    """Lend a database session to one request."""
    with Session(engine) as opened:
        yield opened


Db = Annotated[Session, Depends(session)]


class NewUser(BaseModel):
    """What a client sends to add a user."""

    email: str = Field(min_length=3, max_length=320, pattern="^[^@]+@[^@]+$")


class NewComment(BaseModel):
    """What a client sends to add a comment."""

    user_id: int
    text: str = Field(min_length=1, max_length=1000)


@app.get("/health")
def health(db: Db) -> dict[str, str]:
    """Say ok when the database answers and has its tables."""
    try:
        db.execute(select(User.id).limit(1))
    except SQLAlchemyError as error:
        log.warning("health: %s", error)
        raise HTTPException(503, "the database does not answer") from error
    return {"status": "ok"}


@app.get("/version")
def version() -> dict[str, str]:
    """Name the release that runs."""
    return {"version": os.environ.get("RELEASE", RELEASE)}


@app.get("/users")
def users(db: Db) -> list[dict[str, Any]]:
    """List the users, oldest first."""
    rows = db.execute(select(User.id, User.email).order_by(User.id))
    return [dict(row._mapping) for row in rows]


@app.post("/users", status_code=201)
def add_user(new: NewUser, db: Db) -> dict[str, Any]:
    """Add a user; 409 when the address is taken."""
    try:
        number = db.execute(insert(User.__table__).values(email=new.email).returning(User.id)).scalar_one()
        db.commit()
    except IntegrityError as error:
        raise HTTPException(409, "this address is taken") from error
    return {"id": number, "email": new.email}


@app.get("/comments")
def comments(db: Db) -> list[dict[str, Any]]:
    """List the comments, oldest first."""
    rows = db.execute(select(Comment.id, Comment.user_id, Comment.text).order_by(Comment.id))
    return [dict(row._mapping) for row in rows]


@app.post("/comments", status_code=201)
def add_comment(new: NewComment, db: Db) -> dict[str, Any]:
    """Add a comment; 404 when there is no such user."""
    if db.execute(select(User.id).where(User.id == new.user_id)).first() is None:
        raise HTTPException(404, "no such user")
    values = {"user_id": new.user_id, "text": new.text}
    number = db.execute(insert(Comment.__table__).values(values).returning(Comment.id)).scalar_one()
    db.commit()
    return {"id": number, **values}
