"""Films out of an HTTP form (multipart/form-data), in memory: none is spooled to disk, no file name is kept."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lucency.serve.refusals import MalformedError, UnreadableError

FIELD = "film"
FORM = "multipart/form-data"
BROKEN = f"the form cannot be taken apart; expected {FORM} with a part named {FIELD}: curl -F {FIELD}=@film.png"


class Form:
    """A form as it arrives: `feed` it the body, then take the `films`."""

    def __init__(self, content_type: str, most: int) -> None:
        """`most` films are taken.

        Raises:
            MalformedError: the content type names no boundary.
        """
        self._films: list[bytearray] = []
        self._most = most
        self._name, self._value, self._field = b"", b"", b""
        self._ended = False
        try:
            boundary = parse_options_header(content_type)[1][b"boundary"]
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begin,
                    "on_header_begin": self._header_begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_end": self._end,
                },
            )
        except (KeyError, FormParserError):
            raise MalformedError(BROKEN) from None

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            MalformedError: this is no form.
            UnreadableError: it has another part than films, or too many.
        """
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise MalformedError(BROKEN) from None

    def films(self) -> list[bytes]:
        """The content of every part, in order.

        Raises:
            MalformedError: the form has not come to its end.
        """
        if not self._ended:
            raise MalformedError(BROKEN)
        return [bytes(film) for film in self._films]

    def _part_begin(self) -> None:
        if len(self._films) == self._most:
            raise UnreadableError(f"expected at most {self._most} films in one request, came more; send the rest later")
        self._films.append(bytearray())
        self._field = b""

    def _header_begin(self) -> None:
        self._name, self._value = b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._field = parse_options_header(self._value)[1].get(b"name", b"")

    def _headers_finished(self) -> None:
        if self._field != FIELD.encode():
            raise UnreadableError(f"expected parts named {FIELD}, came another; see /docs")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._films[-1] += data[start:end]

    def _end(self) -> None:
        self._ended = True
