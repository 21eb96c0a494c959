"""What the device's shell samples where no runner does: the same file as the runner's, twice a second at most."""

from __future__ import annotations

import pytest
from mobench_targets.shell.platform import Channel, Sensor

from mobench_lang.collect.samples import read_samples
from mobench_lang.plugins import Launch, Limits
from mobench_lang.protocol import SampleHead, SampleRow, SampleTail
from tests.targets.shell.conftest import Box, MakeJob
from tests.targets.shell.test_session import run

HOT = Limits(60_000_000_000, abort_above=80_000)
RAILS = 't=4711\nCH0(T=4711)[VSYS], 81985529216486895\nCH1(T=4711)[it\'s \\ "so"], 5\n'

# What stands in a file, the scale, the text before the number, and the number.
TAKEN = {
    "plain": ("42\n", 1, None, 42),
    "scaled": ("-42\n", 1000, None, -42000),
    "nought": ("0\n", 1000, None, 0),
    "many_noughts": ("000\n\n\n\n", 10, None, 0),
    "leading_noughts": ("0042\n", 1, None, 42),
    "no_line_end": ("7", 1, None, 7),
    "more_than_32_bits": ("3999999999999\n", 1000, None, 3999999999999000),
    "blanks": ("  \t12 kB\n", 1, None, 12),
    "rail": (RAILS, 1, "[VSYS],", 81985529216486895),
    "hostile_rail": (RAILS, 1, '[it\'s \\ "so"],', 5),
    "pressure": ("some avg10=0.00 total=17\nfull total=3\n", 1, "total=", 17),
    "word_behind": ("x=5mA\n", 1, "x=", 5),
    "pattern": ("a*b 1\n*] 2\n", 1, "*]", 2),
    "fraction": ("1.5\n", 1, None, None),
    "fraction_behind": ("x=1.5\n", 1, "x=", None),
    "word": ("warm\n", 1, None, None),
    "number_and_word": ("12abc\n", 1, None, None),
    "two_signs": ("--5\n", 1, None, None),
    "sign_alone": ("-\n", 1, None, None),
    "empty": ("", 1, None, None),
    "not_there": ("y=1\n", 1, "x=", None),
    "command": ("$(reboot)\n", 1, None, None),
}


def test_every_channel_is_read_as_the_runner_reads_it(box: Box, fake_launch: Launch, make_job: MakeJob) -> None:
    folder, files = box.trial("sampled"), box.folder / "it's $(reboot)"
    files.mkdir()
    channels = []
    for name, (text, scale, after, _) in TAKEN.items():
        (files / name).write_text(text)
        channels.append(Channel(f"temp.{name}", "m°C", str(files / name), f"it's {name}", scale=scale, after=after))
    channels.append(Channel("temp.missing", "m°C", str(files / "missing"), "nobody"))
    channels.append(Channel("temp.odd", "m°C", str(files / "plain"), "no power of ten", scale=250))
    box.kind.channels = tuple(channels)
    (files / "heat").write_text("90000\n")  # too hot from the first look on, which comes behind the first row
    box.kind.sensor = Sensor(str(files / "heat"))

    async def story() -> None:
        session = box.session()
        await session.start(make_job("hang"), fake_launch, folder, HOT)
        assert (await session.wait()).reason == "too_hot"

    run(story)
    first, second, third = (folder / "samples.jsonl").read_text().splitlines()
    head = SampleHead.model_validate_json(first)
    row, cost = SampleRow.model_validate_json(second), SampleTail.model_validate_json(third)
    samples = read_samples(folder / "samples.jsonl")
    assert not samples.damaged
    assert [c.name for c in samples.channels] == [f"temp.{n}" for n in (*TAKEN, "missing")]
    assert dict(zip(head.channels, row.v, strict=True)) == {
        **{f"temp.{name}": wanted for name, (*_, wanted) in TAKEN.items()}, "temp.missing": None
    }  # fmt: skip
    assert samples.hz == 2
    assert 0 < head.t <= row.t <= cost.t
    assert cost.rows == 1


@pytest.mark.parametrize("channels", [(), (Channel("soc_temp", "m°C", "/x", "odd", scale=7),)], ids=["none", "odd"])
def test_without_anything_to_read(
    box: Box, fake_launch: Launch, make_job: MakeJob, channels: tuple[Channel, ...]
) -> None:
    folder = box.trial("bare")
    box.kind.channels = channels

    async def story() -> None:
        session = box.session()
        await session.start(make_job(), fake_launch, folder, Limits(60_000_000_000))
        assert (await session.wait()).status == "ok"

    run(story)
    assert not (folder / "samples.jsonl").exists()
