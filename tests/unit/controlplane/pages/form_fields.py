"""What a browser without JavaScript would send of the form on a page."""

from html.parser import HTMLParser


class _Fields(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []
        self.buttons: list[str] = []
        self.disabled: list[str] = []
        self._action = action
        self._is_inside = False
        self._select: str | None = None
        self._options: list[tuple[str | None, bool]] = []
        self._textarea: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "form":
            self._is_inside = said.get("action") == self._action
        if not self._is_inside:
            return
        name, value = said.get("name") or "", said.get("value") or ""
        if tag == "button":
            (self.disabled if "disabled" in said else self.buttons).append(value)
        elif tag == "input" and name and ("checked" in said or said.get("type") != "checkbox"):
            self.pairs.append((name, value or ("on" if said.get("type") == "checkbox" else "")))
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "option":
            self._options.append((said.get("value"), "selected" in said))
            self._text = ""
        elif tag == "textarea":
            self._textarea, self._text = name, ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "option" and self._options and self._options[-1][0] is None:
            self._options[-1] = self._text.strip(), self._options[-1][1]
        elif tag == "select" and self._select is not None:
            chosen = next((value for value, selected in self._options if selected), self._options[0][0])
            self.pairs.append((self._select, chosen or ""))
            self._select = None
        elif tag == "textarea" and self._textarea is not None:
            self.pairs.append((self._textarea, self._text))
            self._textarea = None
        elif tag == "form":
            self._is_inside = False


class PageForm:
    """The form of an action on a page, to be filled in."""

    def __init__(self, page: str, action: str) -> None:
        parser = _Fields(action)
        parser.feed(page)
        self.pairs = [pair for pair in parser.pairs if pair[0] != "csrf"]
        self.buttons = parser.buttons
        """Values of those that can be pressed, in the order of the page: Enter presses the first."""
        self.disabled = parser.disabled

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.pairs if known == name]

    def get(self, name: str) -> str:
        return self.all(name)[0]

    def fill(self, name: str, value: str, at: int = 0) -> None:
        """`at`: which of those of this name."""
        places = [place for place, (known, _) in enumerate(self.pairs) if known == name]
        self.pairs[places[at]] = name, value

    def switch(self, name: str, on: bool) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != name] + ([(name, "on")] if on else [])

    def pressed(self, button: str) -> list[tuple[str, str]]:
        assert button in self.buttons, (button, self.buttons)
        return [*self.pairs, ("do", button)]
