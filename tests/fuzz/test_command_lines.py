"""100 random command lines: a result, or one clear line and an exit status, without a traceback."""

import random
import warnings

import pytest
from click.testing import CliRunner

import dynamics as dyn
from dynamics.cli import commands
from tests.fuzz.outcome import LIMIT, OverTime, place_of, processor_time

CHUNK, LINES = 10, 100
VALUES = ("", "nan", "inf", "-inf", "-1", "0", "1e308", "5e-324", "1e999", "9" * 5000, "0.5", "weather", "1,,2", "é",
          "\t", "--", "1e-3 x", "10000000000000", "|p|", "sg(" * 50, "/", "a.npz", "missing/a.npz", "0x10")  # fmt: skip
OPTIONS = ("--loss", "--s0", "--end-time", "--points", "--until", "--learning-rate", "--method", "--rtol", "--atol",
           "--alpha", "--epsilon", "--tracking", "--ema", "--learned", "--init", "--weight-decay", "--gain",
           "--parameter", "--stop-gradient", "--closure", "--steps", "--record", "--modes", "--inputs", "--init-std",
           "--init-seed", "--batch-size", "--input-dimension", "--seed", "--units", "--dtype", "--device", "--out",
           "--format", "--library", "--input-variances", "--noise", "--workers", "--nothing")  # fmt: skip
FLAGS = ("--isotropic", "--symmetrised", "--normalize", "--no-predictor", "--correlated", "--help")
BASES = {
    "solve": ["--s0", "0.1,0.5", "--end-time", "1", "--points", "3"],
    "iterate": ["--s0", "0.1,0.5", "--steps", "2", "--learning-rate", "0.1"],
    "train": ["--modes", "2", "--inputs", "2", "--steps", "1", "--learning-rate", "0.1", "--batch-size", "10"],
    "check": ["--s0", "0.2,0.5"],
    "compare": ["a.npz", "b.npz"],
    "sweep": ["a.toml"],
    "derive": [],
    "export": [],
    "figures": ["--out", "."],
}
WEIGHTS = (8, 6, 3, 1, 2, 2, 3, 3, 1)
KEYS = ("store", "model", "run", "grid", "chunk", "keep", "[model]", "model.loss", "grid.weight_decay")


def line_of(seed):
    """A command with unsuitable values for up to three of its options."""
    draw = random.Random(f"line {seed}")
    command = draw.choices(list(BASES), WEIGHTS)[0]
    arguments = list(BASES[command])
    accepted = {flag for parameter in commands.main.commands[command].params for flag in parameter.opts}
    options = [option for option in OPTIONS if option in accepted or draw.random() < 0.1]
    for _ in range(draw.randint(1, 3)):
        if options and draw.random() < 0.8:
            option = draw.choice(options)
            arguments += [option, *(draw.choice(VALUES) for _ in range(2 if option == "--noise" else 1))]
        else:
            arguments.append(draw.choice(FLAGS))
    return [command, *arguments]


def fault_of_line(arguments):
    """Return what is wrong with the outcome of a command line; None if nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", dyn.AccuracyWarning)
        try:
            with processor_time(LIMIT):
                done = CliRunner().invoke(commands.main, arguments, prog_name="ssl-dynamics")
        except OverTime as error:
            return f"{error}: {place_of(error)}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {str(done.exception)[:120]} ({place_of(done.exception)})"
    if done.exit_code not in (0, 1, 2) or "Traceback" in done.output:
        return f"exit status {done.exit_code}: {done.output[-200:]}"
    if done.exit_code and "Error: " not in done.output and arguments[0] != "check":
        return f"no reason: {done.output[-200:]}"
    if "nan" in done.output.split() and "status complete" in done.output:
        return "a silent nan"
    return None


def toml_of(seed):
    """The text of a TOML file, with unsuitable values or keys."""
    draw = random.Random(f"file {seed}")
    unsuitable = ("nan", "inf", "-1", '"weather"', "[]", "{}", "[1, [2]]", "1e400", "true", "1979-05-27", "[" * 2000)
    return "\n".join(f"{draw.choice(KEYS)} = {draw.choice(unsuitable)}" for _ in range(draw.randint(1, 5)))


def faults(seeds, folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = {}
    for seed in seeds:
        line = line_of(seed)
        if line[0] == "sweep":
            (folder / "a.toml").write_text(toml_of(seed))
        if fault := fault_of_line(line):
            found[seed] = f"{line}: {fault}"
    return found


def test_a_few_command_lines_are_answered(tmp_path, monkeypatch):
    quick = [seed for seed in range(30) if line_of(seed)[0] in ("solve", "iterate", "compare")][:8]
    assert not faults(quick, tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, LINES, CHUNK))
def test_command_lines_are_answered(first, tmp_path, monkeypatch):
    assert not faults(range(first, first + CHUNK), tmp_path, monkeypatch)
