"""The page as a parser sees it: tags in order, and whether they are closed as they were opened."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


class PageReader(HTMLParser):
    """Reads a whole page.

    Attributes:
        tags: Every start tag with its attributes.
        text: All text outside `style`.
        open_tags: Those not closed; empty for a well-formed page.
        faults: Closing tags that close something else.
        ids: Values of `id`.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open_tags: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values))
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open_tags or self.open_tags[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open_tags[-1:]}")
        else:
            self.open_tags.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open_tags:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every `tag`."""
        return [attributes for name, attributes in self.tags if name == tag]
