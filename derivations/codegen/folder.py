"""Compare a folder of generated files with the expected files, or write the expected files; offer both as a command."""

import argparse
from collections.abc import Callable
from pathlib import Path


def differing(folder: Path, expected: dict[str, str]) -> list[str]:
    """Return the names of the files in which a folder differs from the expected files.

    The names are those of expected files that are missing in the folder, of files whose content is not the expected
    text, and of files in the folder that are not expected. expected: a dictionary from file names to texts. Files with
    a suffix that no expected file has are ignored.
    """
    kinds = {Path(name).suffix for name in expected}
    present = [path for path in sorted(folder.glob("*")) if path.suffix in kinds]
    contents = {path.name: path.read_text(encoding="utf-8") for path in present}
    return sorted(name for name in expected.keys() | contents.keys() if expected.get(name) != contents.get(name))


def write(folder: Path, expected: dict[str, str]) -> list[str]:
    """Write the expected files into a folder; return the names of all files that were written or removed.

    A file that is up to date is not written again. A file that is not expected is removed, if its suffix is that of an
    expected file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = differing(folder, expected)
    for name in changed:
        if name in expected:
            (folder / name).write_text(expected[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed


def main(program: str, description: str, folder: Path, files: Callable[[], dict[str, str]]) -> int:
    """Run the command line of a package that writes a folder of generated files; return the exit status.

    The exit status is 1 if the option ``--check`` is given and files are out of date, and 0 otherwise. program,
    description: the name of the command and its description in the help text. files: function that returns the
    expected files.
    """
    parser = argparse.ArgumentParser(prog=program, description=description.strip())
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the files are out of date")
    check, expected = parser.parse_args().check, files()
    changed = differing(folder, expected) if check else write(folder, expected)
    name = f"{folder.parent.name}/{folder.name}"
    for file in changed:
        print(f"{'differs' if check else 'written'}: {name}/{file}")
    print(f"{len(changed)} of {len(expected)} files of {name} {'differ' if check else 'changed'}")
    return 1 if check and changed else 0
