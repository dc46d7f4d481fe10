"""What `model.plain` reads and writes is what the standard library reads and writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.model import plain

texts = st.text()
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


@given(documents)
def test_one_line_is_what_json_writes(document: object) -> None:
    assert plain.dumps(document, sort_keys=True) == json.dumps(document, sort_keys=True, separators=(",", ":"))


@given(documents)
def test_a_page_is_what_json_writes(document: object) -> None:
    assert plain.pages(document) == json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False)


@given(documents)
def test_what_json_wrote_is_read(document: object) -> None:
    assert plain.loads(json.dumps(document, indent=1)) == document
    assert plain.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n") == document


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "nul", '{"a":1}}', "1 2", '"\\ud8', "[" * 10, "\x00", "{1:2}", "'a'"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # as `json` has it
        plain.loads(text)


@given(st.text(alphabet='{}[]":,0123456789.eE+-truefalsn \\u'))
def test_both_refuse_the_same(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # as `json` has it
            plain.loads(text)
    else:
        assert repr(plain.loads(text)) == repr(expected)


def test_what_json_cannot_write_is_refused() -> None:
    with pytest.raises(TypeError):
        plain.dumps({"a": object()})
    with pytest.raises(TypeError):
        plain.pages({"a": [object()]})
