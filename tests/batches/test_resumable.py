"""A folder that takes long to write is finished by the next process, wherever the one before was killed."""

from kuzushiji_tf.batches.resumable import resumable_folder
from kuzushiji_tf.files import write_text


def write(target, content):
    with resumable_folder(target, "origin.json", {"content": content}, False, lambda hidden: True) as hidden:
        there = [path.name for path in target.iterdir() if path.name != "origin.json"] if target.exists() else []
        if not (hidden / content).exists():
            write_text(hidden / content, "whole")
    return there


def test_a_kill_between_the_two_renames_of_a_folder_costs_neither(tmp_path):
    target, old, hidden = (tmp_path / name for name in ("set", ".set.old", ".set.partial"))
    write(target, "older")
    target.rename(old)  # as a process leaves it that is killed before it renames the second
    hidden.mkdir()
    for name, text in (("origin.json", '{"content": "newer"}'), ("newer", "whole")):
        write_text(hidden / name, text)
    assert write(target, "newer") == ["older"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert sorted(path.name for path in target.iterdir()) == ["newer", "origin.json"]
