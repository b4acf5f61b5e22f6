"""What the API refused, apart from `api`, so that it can be caught without importing httpx."""


class ApiError(Exception):
    """The API did not do what was asked. `str()` says why, for people; `status` is HTTP's, 0 where none came."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
