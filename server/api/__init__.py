"""The API: questions and answers over HTTP, for the intranet."""

from zuji.server.api.app import Api, make_api

__all__ = ["Api", "make_api"]
