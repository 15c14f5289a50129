"""Mappings that hold several values for a name: query parameters and headers."""

_ABSENT = object()


class MultiDict:
    """Names to one or more values; reading a name gives its first value."""

    def __init__(self, pairs=()):
        self._values = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name):
        return self._values[name][0]

    def get(self, name, default=None, type=None):
        """The first value, converted by `type`; `default` where that is not possible."""
        values = self._values.get(name)
        if values is None:
            return default
        if type is None:
            return values[0]
        try:
            return type(values[0])
        except (TypeError, ValueError):
            return default

    def getlist(self, name, type=None):
        """All values."""
        values = list(self._values.get(name, ()))
        return values if type is None else [type(value) for value in values]

    def keys(self):
        """The names, in the order of their first appearance."""
        return self._values.keys()

    def values(self):
        """The first value of each name."""
        return [values[0] for values in self._values.values()]

    def items(self, multi=False):
        """Names and first values; with `multi`, each value with its name."""
        if multi:
            return [(name, value) for name, values in self._values.items() for value in values]
        return [(name, values[0]) for name, values in self._values.items()]

    def lists(self):
        """Names and all their values."""
        return [(name, list(values)) for name, values in self._values.items()]

    def to_dict(self, flat=True):
        """A dict of the first values, or of lists of all values."""
        return dict(self.items()) if flat else dict(self.lists())

    def __contains__(self, name):
        return name in self._values

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def __eq__(self, other):
        return isinstance(other, MultiDict) and self._values == other._values

    def __repr__(self):
        return f"{type(self).__name__}({self.items(multi=True)!r})"


class Headers:
    """Header lines; names are compared without regard to case and shown as `Title-Case`."""

    def __init__(self, pairs=()):
        self._lines = [(str(name), str(value)) for name, value in pairs]

    def __getitem__(self, name):
        value = self.get(name, _ABSENT)
        if value is _ABSENT:
            raise KeyError(name)
        return value

    def __setitem__(self, name, value):
        self.remove(name)
        self.add(name, value)

    def __delitem__(self, name):
        if name not in self:
            raise KeyError(name)
        self.remove(name)

    def get(self, name, default=None, type=None):
        """The value; several lines of one name are joined by commas."""
        values = self.getlist(name)
        if not values:
            return default
        joined = ",".join(values)
        if type is None:
            return joined
        try:
            return type(joined)
        except (TypeError, ValueError):
            return default

    def getlist(self, name):
        """The value of each line of that name."""
        wanted = name.lower()
        return [value for each, value in self._lines if each.lower() == wanted]

    get_all = getlist

    def add(self, name, value):
        """Adds a line."""
        self._lines.append((str(name), str(value)))

    add_header = add

    def set(self, name, value):
        """Replaces the lines of that name."""
        self[name] = value

    def remove(self, name):
        """Takes all lines of that name away."""
        wanted = name.lower()
        self._lines = [line for line in self._lines if line[0].lower() != wanted]

    def setdefault(self, name, default):
        """The value, after setting it where there was none."""
        if name not in self:
            self.add(name, default)
        return self[name]

    def extend(self, other):
        """Adds the lines of a mapping or of pairs."""
        for name, value in other.items() if hasattr(other, "items") else other:
            self.add(name, value)

    def update(self, other):
        """Replaces the lines of the names in a mapping or in pairs."""
        for name, value in other.items() if hasattr(other, "items") else other:
            self[name] = value

    def items(self):
        """Names and values, one for each name."""
        return list(self.to_dict().items())

    def keys(self):
        """The names."""
        return list(self.to_dict())

    def values(self):
        """The values."""
        return list(self.to_dict().values())

    def to_dict(self):
        """A plain dict with names in `Title-Case`."""
        joined = {}
        for name, value in self._lines:
            title = _title(name)
            joined[title] = f"{joined[title]},{value}" if title in joined else value
        return joined

    def lines(self):
        """Each line as it stands."""
        return list(self._lines)

    def __contains__(self, name):
        return bool(self.getlist(name))

    def __iter__(self):
        return iter(self.items())

    def __len__(self):
        return len(self.to_dict())

    def __repr__(self):
        return f"{type(self).__name__}({self._lines!r})"


_TITLES = {}


def _title(name):
    title = _TITLES.get(name)
    if title is None:
        title = "-".join(part.capitalize() for part in name.split("-"))
        if len(_TITLES) < 256:
            _TITLES[name] = title
    return title
