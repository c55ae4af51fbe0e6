"""Protocols: what is refused and in which words, presets, text files, overrides."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.db import Sessions
from app.domain.protocol import Protocol, load, parse, preset_names
from app.errors import BadInput
from app.services.studies.lifecycle import create
from app.services.study_lookup import current_protocol
from tests.support.factories import make_slug

JND = {"kind": "jnd", "drop": "none", "rounds": 1, "min_votes": 1}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "3afc"}, "kind", "should be '2afc' or 'jnd'"),
    ({"title": ""}, "title", "at least 1 character"),
    ({"title": 5}, "title", "valid string"),
    ({"question": "x" * 201}, "question", "at most 200 characters"),
    ({"question": "nul\0nul"}, "question", "null character"),
    ({"consent": "nul\0nul"}, "consent", "null character"),
    ({"language": "english please"}, "language", "pattern"),
    ({"ethics": "x" * 501}, "ethics", "at most 500 characters"),
    ({"consent": "x" * 20_001}, "consent", "at most 20000 characters"),
    ({"instructions": ["a"]}, "instructions", "valid string"),
    ({"thanks": None}, "thanks", "valid string"),
    ({"rounds": 0}, "rounds", "greater than or equal to 1"),
    ({"rounds": 101}, "rounds", "less than or equal to 100"),
    ({"rounds": 2.5}, "rounds", "valid integer"),
    ({"rounds": "ten"}, "rounds", "valid integer"),
    ({"rounds": True}, "rounds", "valid integer"),
    ({"votes_per_round": 0}, "votes_per_round", "greater than or equal to 1"),
    ({"min_votes": 0}, "min_votes", "greater than or equal to 1"),
    ({"rounds": 2, "min_votes": 3}, "protocol", "min_votes must be at most rounds × votes_per_round = 2"),
    ({"drop": "sometimes"}, "drop", "'dissent', 'round_end' or 'none'"),
    ({"assignment": 5}, "assignment", "must be a section"),
    ({"assignment": {"trials": 0}}, "assignment.trials", "greater than or equal to 1"),
    ({"assignment": {"trials": 1001}}, "assignment.trials", "less than or equal to 1000"),
    ({"assignment": {"practice": -1}}, "assignment.practice", "greater than or equal to 0"),
    ({"assignment": {"sentinels": 201}}, "assignment.sentinels", "less than or equal to 200"),
    ({"assignment": {"sentinels": 3, "sentinel_misses_allowed": 3}}, "assignment", "must be below sentinels"),
    ({"assignment": {"sentinel_misses_allowed": -1}}, "assignment.sentinel_misses_allowed", "or equal to 0"),
    ({"assignment": {"minutes": 0}}, "assignment.minutes", "greater than or equal to 1"),
    ({"assignment": {"minutes": 30}}, "assignment", "deadline_minutes must not be below minutes"),
    ({"assignment": {"deadline_minutes": 1441}}, "assignment.deadline_minutes", "less than or equal to 1440"),
    ({"assignment": {"same_sentinels": -1}}, "assignment.same_sentinels", "greater than or equal to 0"),
    ({"assignment": {"instruction_trials": 11}}, "assignment.instruction_trials", "less than or equal to 10"),
    ({"assignment": {"break_every": 101}}, "assignment.break_every", "less than or equal to 100"),
    ({"contact": "x" * 501}, "contact", "at most 500 characters"),
    ({"check": [{}] * 11}, "check", "at most 10 items"),
    ({"check": [{"question": "?", "choices": ["a", "b"], "answer": "c"}]}, "check.0", "one of the choices"),
    ({"check": [{"question": "?", "choices": ["a", "a"], "answer": "a"}]}, "check.0", "choices must differ"),
    ({"check": [{"question": "?", "choices": ["a"], "answer": "a"}]}, "check.0.choices", "at least 2 items"),
    ({"screening": {"min_refresh_hz": 241}}, "screening.min_refresh_hz", "less than or equal to 240"),
    ({"presentation": {"stimulus_ms": 33}}, "presentation.stimulus_ms", "greater than or equal to 34"),
    ({"presentation": {"gap_ms": 16}}, "presentation.gap_ms", "greater than or equal to 34"),
    ({"presentation": {"stimulus_ms": 166, "gap_ms": 167}}, "presentation", "at least 334: more than 3 flashes"),
    ({"presentation": {"interleave": 2}}, "presentation.interleave", "valid boolean"),
    (JND | {"drop": "dissent"}, "protocol", 'kind "jnd" needs drop = "none" and rounds = 1'),
    (JND | {"rounds": 2}, "protocol", 'kind "jnd" needs drop = "none" and rounds = 1'),
    (JND | {"assignment": {"same_sentinels": 11}}, "protocol", "same_sentinels must not be above assignment.sentinels"),
    (JND | {"assignment": {"instruction_trials": 1}}, "protocol", 'are for kind "2afc"'),
    ({"presentation": {"scale": 0}}, "presentation.scale", "greater than 0"),
    ({"presentation": {"scale": 4.1}}, "presentation.scale", "less than or equal to 4"),
    ({"presentation": {"scale": float("nan")}}, "presentation.scale", "less than or equal to 4"),
    ({"presentation": {"scale": float("inf")}}, "presentation.scale", "less than or equal to 4"),
    ({"screening": {"min_width": 239}}, "screening.min_width", "greater than or equal to 240"),
    ({"screening": {"min_height": 4001}}, "screening.min_height", "less than or equal to 4000"),
    ({"screening": {"touch": "yes"}}, "screening.touch", "valid boolean"),
    ({"screening": {"touch": 1}}, "screening.touch", "valid boolean"),
    ({"quality": {"failed_sentinels": "reject"}}, "quality.failed_sentinels", "'exclude' or 'propose'"),
    ({"quality": {"failed_instructions": "reject"}}, "quality.failed_instructions", "'pay' or 'review'"),
    *(
        ({"quality": {name: 1.1}}, f"quality.{name}", "less than or equal to 1")
        for name in (
            "false_alarm_share_allowed",
            "side_bias_p",
            "fast_share",
            "slow_share",
            "repeated_share",
            "timing_flagged_share",
            "suspect_share",
            "same_device_p",
        )
    ),
    ({"quality": {"instruction_misses_allowed": -1}}, "quality.instruction_misses_allowed", "or equal to 0"),
    ({"quality": {"time_variation": float("nan")}}, "quality.time_variation", "less than or equal to 10"),
    ({"quality": {"agreement_kappa": -1.1}}, "quality.agreement_kappa", "greater than or equal to -1"),
    ({"quality": {"fewest_answers": 2.5}}, "quality.fewest_answers", "valid integer"),
    ({"pay": {"currency": "pounds"}}, "pay.currency", "pattern"),
    ({"pay": {"reward": -1}}, "pay.reward", "greater than or equal to 0"),
    ({"pay": {"reward": 1.5}}, "pay.reward", "whole minor units: 120, not 1.20"),
    ({"pay": {"hourly_floor": -1}}, "pay.hourly_floor", "greater than or equal to 0"),
    ({"pay": {"budget": -1}}, "pay.budget", "greater than or equal to 0"),
    ({"recruiting": {"recruiter": "fiverr"}}, "recruiting.recruiter", "'direct', 'prolific' or 'mturk'"),
    ({"recruiting": {"description": 3}}, "recruiting.description", "valid string"),
    ({"recruiting": {"invitations": "no"}}, "recruiting.invitations", "valid boolean"),
    ({"recruiting": {"per_round": 1}}, "recruiting.per_round", "valid boolean"),
    ({"recruiting": {"places_at_once": 0}}, "recruiting.places_at_once", "greater than or equal to 1"),
    ({"recruiting": {"signed_links": "yes"}}, "recruiting.signed_links", "valid boolean"),
    ({"recruiting": {"project": 7}}, "recruiting.project", "valid string"),
    ({"recruiting": {"excluded_group": 7}}, "recruiting.excluded_group", "valid string"),
    (
        {"recruiting": {"recruiter": "prolific"}, "assignment": {"deadline_minutes": 23}},
        "protocol",
        "deadline_minutes must be at least 24",
    ),
    ({"recruiting": {"recruiter": "prolific"}, "pay": {"currency": "EUR"}}, "protocol", "must be GBP or USD"),
    ({"recruiting": {"recruiter": "mturk"}, "pay": {"currency": "GBP"}}, "protocol", "must be USD"),
    ({"brakes": {"failures_in_a_row": 1}}, "brakes.failures_in_a_row", "greater than or equal to 2"),
    ({"brakes": {"return_rate": 0}}, "brakes.return_rate", "greater than 0"),
    ({"brakes": {"error_rate": 1.1}}, "brakes.error_rate", "less than or equal to 1"),
    ({"people": {"retention_days": 0}}, "people.retention_days", "greater than or equal to 1"),
    ({"roundz": 3}, "roundz", "there is no such field"),
    ({"pay": {"tip": 3}}, "pay.tip", "there is no such field"),
]


@pytest.mark.parametrize(("document", "field", "allowed"), WRONG, ids=[f"{f}: {a}"[:60] for _, f, a in WRONG])
def test_a_wrong_field_is_named_with_what_is_allowed(document: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(document)
    first, *lines = refused.value.message.splitlines()
    assert first == "The protocol is not valid:"
    (line,) = lines
    assert line.startswith(f"  {field}: ")
    assert allowed in line
    assert len(line) < 300
    assert allowed in refused.value.details["fields"][field]


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        parse({"rounds": 0, "colour": "red", "assignment": {"trials": 0}, "pay": {"currency": "x"}})
    assert set(refused.value.details["fields"]) == {"rounds", "colour", "assignment.trials", "pay.currency"}
    assert "(got 0)" in refused.value.message


def test_every_field_has_a_wrong_value_in_this_file() -> None:
    """So that a field added later is not forgotten here."""
    sections = {name for name, field in Protocol.model_fields.items() if hasattr(field.annotation, "model_fields")}
    fields = set(Protocol.model_fields) - sections
    for section in sections:
        fields |= {f"{section}.{name}" for name in Protocol.model_fields[section].annotation.model_fields}
    covered = {field for _, field, _ in WRONG} | {"kind", "min_votes"}
    assert fields <= covered


def test_presets_load_and_say_what_their_sources_say() -> None:
    presets = {name: load(name) for name in preset_names()}
    nights, bapps = presets["nights-2afc"], presets["bapps-2afc"]
    flashes = {name: preset.presentation for name, preset in presets.items() if preset.kind == "jnd"}
    assert {name: (shown.stimulus_ms, shown.gap_ms, shown.interleave) for name, shown in flashes.items()} == {
        "bapps-jnd": (1000, 250, False),
        "nights-jnd": (500, 1000, True),
    }
    sitting = presets["bapps-jnd"].assignment
    assert (sitting.trials, sitting.sentinels, sitting.same_sentinels, sitting.practice) == (160, 40, 32, 10)
    assert (nights.rounds, nights.votes_per_round, nights.min_votes, nights.drop) == (10, 1, 6, "dissent")
    assert (bapps.rounds, bapps.votes_per_round, bapps.min_votes, bapps.drop) == (1, 5, 5, "none")
    for preset in presets.values():
        assert "pseudonym" in preset.consent
        assert f"at most {preset.people.retention_days} days after the study" in preset.consent.replace("\n", " ")
        assert all(kept in preset.consent for kept in ("browser", "screen", "touch", "display", "colours"))
        assert len(preset.instructions) > 100
        assert preset.thanks


@pytest.mark.parametrize("name", preset_names())
def test_a_document_survives_json_and_the_database(sessions: Sessions, name: str) -> None:
    protocol = load(name, overrides={"presentation.scale": "1", "title": "Ähnlich? 似ている “quoted”\u2028"})
    assert parse(json.loads(json.dumps(protocol.model_dump(mode="json")))) == protocol
    slug = make_slug()
    with sessions.begin() as session:
        create(session, slug=slug, protocol=protocol)
    with sessions() as session:
        study = session.execute(text("SELECT id FROM studies WHERE slug = :slug"), {"slug": slug}).scalar_one()
        assert current_protocol(session, study) == protocol


STORABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@given(st.integers(1, 100), st.integers(1, 100), st.floats(0.001, 4), STORABLE, st.integers(0, 10**12))
def test_whatever_is_valid_survives_json(rounds: int, votes: int, scale: float, words: str, reward: int) -> None:
    protocol = parse(
        {
            "rounds": rounds,
            "votes_per_round": votes,
            "min_votes": rounds * votes,
            "presentation": {"scale": scale},
            "consent": words,
            "pay": {"reward": reward},
        }
    )
    assert parse(json.loads(json.dumps(protocol.model_dump(mode="json")))) == protocol


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "protocols" / "mine.toml"
    path.parent.mkdir()
    (tmp_path / "secret.md").write_text("not for participants")
    (path.parent / "consent.md").write_text("# Welcome\n\nÜber alles.", encoding="utf-8")
    return path


def test_texts_are_inline_or_beside_the_file(file: Path) -> None:
    file.write_text('rounds = 7\nconsent = "consent.md"\ninstructions = """Look.\n\nsee notes.md"""\nthanks = "Bye"')
    protocol = load(str(file))
    assert (protocol.rounds, protocol.consent) == (7, "# Welcome\n\nÜber alles.")
    assert (protocol.instructions, protocol.thanks) == ("Look.\n\nsee notes.md", "Bye")


def test_a_file_with_a_byte_order_mark_and_windows_lines(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfrounds = 7\r\nconsent = "consent.md"\r\n[assignment]\r\ntrials = 9\r\n')
    assert (load(str(file)).rounds, load(str(file)).assignment.trials) == (7, 9)


@pytest.mark.parametrize("name", ["../secret.md", "sub/../../secret.md", "{outside}/secret.md", "link.md"])
def test_a_text_file_outside_the_protocols_folder_is_refused(file: Path, name: str) -> None:
    (file.parent / "link.md").symlink_to(file.parent.parent / "secret.md")
    file.write_text(f'consent = "{name.format(outside=file.parent.parent)}"')
    with pytest.raises(BadInput, match="lies outside the protocol's folder"):
        load(str(file))


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.md", None), ("latin.md", b"\xe9t\xe9"), ("folder.md", "folder"), ("x" * 300 + ".md", None)],
)
def test_a_text_file_that_cannot_be_read(file: Path, name: str, content: bytes | str | None) -> None:
    if content == "folder":
        (file.parent / name).mkdir()
    elif isinstance(content, bytes):
        (file.parent / name).write_bytes(content)
    file.write_text(f'consent = "{name}"')
    with pytest.raises(BadInput, match=rf"mine\.toml: the text file '{name[:20]}.* cannot be read"):
        load(str(file))


NOT_TOML = {
    "no value": b"rounds = ",
    "twice": b"rounds = 3\nrounds = 4",
    "not text": b"\xff\xfe",
    "open bracket": b"[assignment",
    "5000 digits": b"rounds = " + b"9" * 5000,
    "5000 brackets": b"rounds = " + b"[" * 5000,
}


@pytest.mark.parametrize("content", NOT_TOML.values(), ids=NOT_TOML)
def test_what_is_not_toml(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"mine\.toml cannot be read as TOML"):
        load(str(file))


def test_neither_file_nor_preset(tmp_path: Path) -> None:
    for source in ("nights", str(tmp_path), str(tmp_path / "none.toml")):
        with pytest.raises(BadInput, match=r"neither a protocol file nor a preset\. Presets: .*nights-2afc"):
            load(source)


def test_overrides_of_every_type() -> None:
    overrides = {
        "rounds": "7",
        "presentation.scale": "1.5",
        "screening.touch": "false",
        "question": "Which one? Really = that one",
        "title": '"7"',
        "assignment.trials": " 20 ",
        "drop": "round_end",
        "consent": "Yes or no",
    }
    protocol = load("nights-2afc", overrides=overrides)
    assert (protocol.rounds, protocol.presentation.scale, protocol.screening.touch) == (7, 1.5, False)
    assert (protocol.question, protocol.title) == ("Which one? Really = that one", "7")
    assert (protocol.assignment.trials, protocol.drop, protocol.consent) == (20, "round_end", "Yes or no")
    assert protocol.assignment.practice == 5, "the rest of the section stays"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("colour", "red", r"colour: there is no such field"),
        ("assignment.colour", "red", r"assignment\.colour: there is no such field"),
        ("assignment", "5", r"assignment: must be a section"),
        ("rounds.x", "5", r"--set rounds\.x: rounds is not a section"),
        ("title.x.y", "5", r"--set title\.x\.y: title is not a section"),
        ("rounds", "many", r"rounds: .*valid integer.*'many'"),
        ("rounds", "", r"rounds: .*valid integer"),
        ("rounds", "[1]", r"rounds: .*valid integer"),
        ("rounds", "2024-01-01", r"rounds: .*valid integer"),
        ("rounds", "9" * 5000, r"rounds: .*valid integer"),
        ("rounds", "[" * 5000, r"rounds: .*valid integer"),
        ("rounds", "3\nmin_votes = 2", r"rounds: .*valid integer"),
        ("", "5", r"--set takes KEY=VALUE"),
        (".", "5", r"--set takes KEY=VALUE"),
        ("assignment.", "5", r"--set takes KEY=VALUE"),
        ("assignment..trials", "5", r"--set takes KEY=VALUE"),
    ],
)
def test_nonsense_overrides(key: str, value: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as refused:
        load("nights-2afc", overrides={key: value})
    assert len(refused.value.message) < 400


def test_a_text_that_is_set_is_read_from_where_the_command_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over a preset, whose own consent.md is not meant; and a path may lead anywhere the caller can read."""
    monkeypatch.chdir(file.parent)
    assert load("nights-2afc", overrides={"consent": "consent.md"}).consent == "# Welcome\n\nÜber alles."
    outside = load("nights-2afc", overrides={"consent": str(file.parent.parent / "secret.md")})
    assert outside.consent == "not for participants"
    assert outside.instructions == load("nights-2afc").instructions
    with pytest.raises(BadInput, match=re.escape("--set consent=none.md cannot be read")):
        load("nights-2afc", overrides={"consent": "none.md"})
