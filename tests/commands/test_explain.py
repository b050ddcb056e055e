"""`ecgfl ingest --explain` shows how files are read, as settings for site.toml."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.tables.adapter import CsvAdapter
from ecgfl_adapters.tables.explain import explain
from ecgfl_adapters.tables.layout import TableOptions

from ecgfl_cli.site.settings import load_settings

Ecgfl = Callable[..., Any]
BEATING = "".join(
    f"{row / 250:.3f};{(row % 200 == 0) * 1.5:.3f}\n".replace(".", ",") for row in range(5000)
)


@pytest.fixture
def holter(tmp_path: Path) -> Path:
    """A vendor's export in German: no unit, a title, a column that is no lead."""
    rows = "".join(f"{row * 4};{row % 300 - 150};{row % 90}\n" for row in range(5000))
    path = tmp_path / "export" / "a.holter.csv"
    path.parent.mkdir()
    path.write_text(
        f"Holter 7000, Export\nGesch\u00e4tzter Kollege\nZ;Kanal A;Kanal B\n{rows}",
        encoding="latin-1",
    )
    return path


def with_layout(site: Path, block: str) -> None:
    path = site / "site.toml"
    path.write_text(f"{path.read_text()}\n{block}\n")
    load_settings(path)


def test_explain_shows_a_table_and_does_not_change_the_home(
    site: Path, ecgfl: Ecgfl, files_of: Any, real_data: Path
) -> None:
    before = files_of(site)
    ran = ecgfl("ingest", "--explain", real_data / "csv" / "biosppy_ecg.txt", "--units", "mV")
    assert ran.code == 0, ran
    for said in (
        "separator",
        "1000 Hz",
        "line 2",
        "lead ECG, in mV",
        "--units",
        "15000 samples, 15.0 s",
        "[[csv]]",
        "fs = 1000.0",
    ):
        assert said in ran.out
    assert files_of(site) == before


def test_machines_get_the_same(home: Path, ecgfl: Ecgfl, real_data: Path) -> None:
    ran = ecgfl(
        "ingest",
        "--explain",
        real_data / "csv" / "vital_sqi_ecg_test1.csv",
        "--units",
        "uV",
        "--json",
    )
    assert ran.code == 0
    (found,) = ran.json["explanations"]
    assert {"what": "rate", "value": "256 Hz", "why": "all rows of the time column"} in found[
        "understood"
    ]
    assert found["error"] is None
    assert found["layout"].startswith("[[csv]]\n")
    assert not home.exists()


def test_a_file_that_is_not_understood_shows_how_far_it_came(
    home: Path, ecgfl: Ecgfl, real_data: Path
) -> None:
    ran = ecgfl("ingest", "--explain", real_data / "csv" / "ad8232_pico_ecg_30s.csv")
    assert ran.code == 3
    assert "'t_us_pico', in us" in ran.out
    assert "# units = " in ran.out
    (problem,) = ran.problems
    assert "no unit is stated for column 'raw'. Give --units" in problem
    ran = ecgfl("ingest", "--explain", real_data / "csv" / "ad8232_pico_ecg_30s.csv", "--json")
    assert (ran.code, ran.json["status"]) == (3, "error")
    assert ran.json["explanations"][0]["error"]["fix"].startswith("Give --units mV")
    assert not home.exists()


def test_a_letter_and_a_record_of_another_format(
    home: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    real_data: Path,
    tmp_path: Path,
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague,\nplease find\nthe ECG attached.\n")
    ran = ecgfl("ingest", "--explain", letter)
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert "line 2 is 'please find', not a row of numbers" in ran.problems[0]
    ran = ecgfl("ingest", "--explain", real_data / "mitdb" / "100.hea")
    assert ran.code == 2
    assert "read as wfdb" in ran.problems[0]


def test_a_vendors_layout_is_read_as_site_toml_describes_it(
    site: Path, ecgfl: Ecgfl, holter: Path
) -> None:
    ran = ecgfl("ingest", holter)
    assert ran.code == 3
    assert "column 'Z' always goes up" in ran.problems[0]
    with_layout(
        site,
        '[[csv]]\nfiles = "*.Holter.csv"\ntime = "Z"\ntime_unit = "ms"\nunits = "adc:200:0"\n'
        'leads = { "Kanal A" = "II" }',
    )
    assert ecgfl("ingest", holter).code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert (record["leads"], record["fs"]) == (["II"], 250.0)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("time = 9", "time = 9 in site.toml is no column"),
        ('time = "T"', "time = 'T' in site.toml is no column"),
        (
            'time = 0\nfs = 250\nunits = "mV"\nleads = { "Kanal X" = "II" }',
            "leads names column 'Kanal X'.*'Kanal A'",
        ),
        ("time = 0\nfs = -1", "fs = -1 in site.toml"),
        ("skip_lines = 9000000", "has no line after the 9000000"),
        ('time_unit = "ms"', "no column is a time"),
        ('time = 1\ntime_unit = "datetime"\nunits = "mV"', "which is not a time of day"),
        ('time = 1\ntime_unit = "ms"\nunits = "furlong"', "no unit"),
        ('separator = "|"', "not a row of numbers"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(
    site: Path, ecgfl: Ecgfl, holter: Path, block: str, said: str
) -> None:
    import re

    with_layout(site, f'[[csv]]\nfiles = "*.csv"\n{block}')
    ran = ecgfl("ingest", holter)
    assert (ran.code, len(ran.problems)) == (3, 1), ran
    assert re.search(said, ran.problems[0]), ran.problems


FILES = {
    "german.csv": f"Zeit (s);EKG (mV)\n{BEATING}".encode("utf-16"),
    "preamble.csv": f"Rekorder: 7\n\n# by hand\nZeit;EKG II\ns;mV\n{BEATING}".encode(),
    "packed.csv.gz": gzip.compress(
        f"time_s;ecg_mV;resp\n{BEATING}".replace("\n", ";1\n", 5001)
        .replace("resp;1", "resp")
        .encode()
    ),
    "samples.tsv": (
        "sample\tecg_uV\n" + "".join(f"{row}\t{row % 7}\n" for row in range(500))
    ).encode(),
    "watch.csv": (
        "Sample Rate,512 hertz\nLead,Lead I\nUnit,µV\n\n"
        + "".join(f"{row % 7},{row % 9}5\n" for row in range(900))
    ).encode(),
    "clock.csv": (
        "t;ecg_mV\n" + "".join(f"23:59:59,{row:03d};{row % 7}\n" for row in range(0, 1000, 4))
    ).encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_the_block_that_is_shown_reads_the_same(site: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    options = ReadOptions(fs=250 if "samples" in name else None)
    shown = explain(path, options)
    assert shown.error is None
    expected = CsvAdapter().read(path, options)
    with_layout(site, shown.layout)
    found = CsvAdapter().read(
        path,
        ReadOptions(format_options=(TableOptions(tuple(load_settings(site / "site.toml").csv)),)),
    )
    assert found.fs == expected.fs
    for lead, reference in zip(found.leads, expected.leads, strict=True):
        assert (lead.name, lead.step_mv) == (reference.name, reference.step_mv)
        np.testing.assert_array_equal(lead.samples, reference.samples)


@pytest.mark.parametrize(
    "name", ["ad8232_pico_ecg_30s.csv", "vital_sqi_ecg_test1.csv", "biosppy_ecg.txt"]
)
def test_the_blocks_of_real_files_read_the_same(
    real_data: Path, site: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    shutil.copy(real_data / "csv" / name, path)
    options = ReadOptions(units="adc:200:2048")
    expected = CsvAdapter().read(path, options)
    with_layout(site, explain(path, options).layout)
    layouts = tuple(load_settings(site / "site.toml").csv)
    found = CsvAdapter().read(path, ReadOptions(format_options=(TableOptions(layouts),)))
    assert [lead.name for lead in found.leads] == [lead.name for lead in expected.leads]
    assert found.fs == expected.fs
