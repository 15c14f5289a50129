"""What elements lie in: an `array.array` of numbers, or a list of objects."""

from array import array

from numpy._missing import missing


class Objects(list):
    """Objects, with what arrays here ask of a buffer."""

    typecode = "O"
    itemsize = 8

    def __getitem__(self, key):
        found = super().__getitem__(key)
        return Objects(found) if isinstance(key, slice) else found

    def __mul__(self, count):
        return Objects(super().__mul__(count))

    def tolist(self):
        """The objects in a list of their own."""
        return list(self)

    def tobytes(self):
        """Objects have no bytes."""
        raise missing("the bytes of an array of objects")


def buffer(code, values=()):
    """A buffer for elements of a type."""
    return Objects(values) if code == "O" else array(code, values)
