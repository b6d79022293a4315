import pytest

from lifeiqa.artifacts.strict_json import MAX_BYTES, parsed, read_text
from lifeiqa.errors import ArtifactError


@pytest.mark.parametrize("depth", [1, 63])
def test_values_may_be_nested_as_deep_as_any_manifest_nests_them(depth):
    text = '{"a":' * depth + "[]" + "}" * depth

    assert str(parsed(text, "here")).count("a") == depth


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a":' * 64 + "[1]" + "}" * 64, "nested deeper than 64"),
        ('{"a":' + "[" * 70 + "]" * 70 + "}", "nested deeper than 64"),
        ("[" * 100_000, "the manifest cannot be read"),
        ('{"a":' * 100_000, "the manifest cannot be read"),
        ('{"a": ' + "9" * 5000 + "}", "integer string conversion"),
        ('"' + "x" * MAX_BYTES + '"', "larger than 16777216 bytes"),
        ("[]", "not a JSON object"),
    ],
    ids=["objects", "lists", "open lists", "open objects", "digits", "length", "list"],
)
def test_text_that_would_exhaust_its_reader_is_refused(text, complaint):
    with pytest.raises(ArtifactError, match=complaint) as caught:
        parsed(text, "here")

    assert str(caught.value).startswith("here: the manifest cannot be read: ")


def test_half_of_a_surrogate_pair_is_no_text_and_a_whole_one_is():
    assert parsed(r'{"a": "\ud83d\ude00"}', "here") == {"a": "\U0001f600"}
    with pytest.raises(ArtifactError, match="cannot be read: 'utf-8' codec can't encode"):
        parsed(r'{"a": "\ud83d"}', "here")


def test_a_file_is_read_to_its_bound_and_no_further(tmp_path):
    path = tmp_path / "m.json"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_text(path)) == MAX_BYTES

    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ArtifactError, match="larger than"):
        read_text(path)
