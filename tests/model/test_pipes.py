"""Pipes as records and indexes have them."""

from __future__ import annotations

from vestige.model import pipes


def test_both_ends_of_a_pipe_are_called_the_same_on_one_boot() -> None:
    assert pipes.ends("a-b", ["14:53211"]) == pipes.ends("a-b", [None, "14:53211", "14:53211"])
    assert pipes.ends("a-b", ["14:53211"]) != pipes.ends("a-c", ["14:53211"])
    assert pipes.ends("a-b", ["14:53211"]) != pipes.ends("a-b", ["15:53211"])
    ((path, digest),) = pipes.ends("a-b", ["14:53211"])
    assert path == "pipe:[53211]"
    assert pipes.is_pipe(digest)


def test_what_is_damaged_names_no_pipe() -> None:
    assert pipes.ends("a-b", ["", "x", "1:", ":1", "1:x", None]) == []
    assert pipes.ends(None, ["14:53211"]) == []
    assert not pipes.is_pipe(None)
    assert not pipes.is_pipe("blake3:00")
