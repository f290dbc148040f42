from __future__ import annotations

import pytest

from sshrun.errors import UsageError
from sshrun.project.limits import by_directory, check
from sshrun.transfer.items import Item

MB = 10**6


def items(*sizes: tuple[str, int]) -> list[Item]:
    return [Item("/p", name, ".", name, size, 0, 0o100644) for name, size in sizes]


def test_what_is_within_the_limits_passes() -> None:
    check("/p", [])
    check("/p", items(*((f"data/{number}", 100 * MB) for number in range(5))))
    check("/p", items(*((f"{number}", 1) for number in range(20_000))))


@pytest.mark.parametrize(
    ("over", "says", "advice"),
    [
        (
            items(("data/a.bin", 100 * MB + 1), ("b.ckpt", 200 * MB), ("c", 1)),
            "of the project /p, b.ckpt (200 MB), data/a.bin (100 MB) are over 100 MB a file",
            "write /b.ckpt into /p/.sshrunignore, and name it in upload_files if the job needs it",
        ),
        (
            items(*((f"d/{number}", 101 * MB) for number in range(5))),
            "of the project /p, d/0 (101 MB), d/1 (101 MB), d/2 (101 MB) and 2 files more are over 100 MB a file",
            "write d/0 into /p/.sshrunignore, and name it in upload_files if the job needs it",
        ),
        (
            items(*((f"{top}/{number}", (4 - top) * 20 * MB) for top in range(4) for number in range(3)), ("x", 1)),
            "the project /p is 600 MB, over 500 MB; largest: 0/ (240 MB), 1/ (180 MB), 2/ (120 MB)",
            "write /0/ into /p/.sshrunignore, and name it in upload_files if the job needs it",
        ),
        (
            items(*((f"{number}.txt", 90 * MB) for number in range(6))),
            "the project /p is 540 MB, over 500 MB; largest: ./ (540 MB)",
            "write what is to stay here into /p/.sshrunignore, or name what is to go in upload_files",
        ),
        (
            items(*((f"imgs [1]/{number}", 1) for number in range(20_000)), ("big/x", 10 * MB)),
            "the project /p has 20001 files, over 20000; most: imgs [1]/ (20000 files), big/ (1 file)",
            "write /imgs \\[1]/ into /p/.sshrunignore, and name it in upload_files if the job needs it",
        ),
    ],
)
def test_what_is_over_a_limit_is_named_with_what_to_write(over: list[Item], says: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        check("/p", over)
    assert (caught.value.message, caught.value.hint) == (says, advice)


def test_directories_are_summed_the_largest_first() -> None:
    rows = by_directory(items(("a/x", 1), ("a/b/y", 2), ("c/z", 5), ("top", 1), ("other", 1)))
    assert rows == [("c/", 1, 5), ("a/", 2, 3), ("./", 2, 2)]
