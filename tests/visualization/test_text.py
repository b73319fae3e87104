import pytest

from keras_similarity.visualization.text import class_text, is_drawable

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    ("label", "names", "text"),
    [
        (1, ["cat", "dog"], "dog"),
        (5, {5: "cat"}, "cat"),
        (6, {5: "cat"}, "6"),
        (2, ["cat", "dog"], "2"),
        (-1, ["cat", "dog"], "-1"),
        (None, ["cat"], "no label"),
        (3, None, "3"),
        (0, ["A"], "A"),
        # Greek Alpha and Cyrillic A look like A: the code point tells them apart.
        (0, ["\u0391"], "\u0391 U+0391"),
        (0, ["\u0410"], "\u0410 U+0410"),
        # The font has no ideographs: it would draw an empty box.
        (0, ["\u4e9c"], "U+4E9C"),
        (0, ["map \u4e9c"], "map <U+4E9C>"),
        (0, ["\u4e9c U+4E9C"], "U+4E9C"),
        (0, ["\u0391 U+0391"], "\u0391 U+0391"),
        (0, ["a\nb"], "a<U+000A>b"),
    ],
)
def test_a_class_is_written_so_that_it_can_be_read(label, names, text):
    assert class_text(label, names) == text


def test_what_draws_nothing_is_not_drawable():
    assert is_drawable("a b")
    assert not is_drawable("\u200b")  # Zero width.
    assert not is_drawable("\u0301")  # An accent without a letter.
