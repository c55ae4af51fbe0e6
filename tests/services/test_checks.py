"""Practice and sentinels: known answers from the pool's own images."""

from typing import Any

import pytest
from sqlalchemy import text

from app.db import Sessions
from app.errors import BadInput
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.support.factories import make_study
from tests.support.pictures import encoded, noise
from tests.support.triplet_folder import TripletFolder, bring, contents, make_draft


def checks(sessions: Sessions, slug: str) -> list[Any]:
    """The study's practice and sentinel items with what their images are in the pool."""
    with sessions() as session:
        return list(
            session.execute(
                text("""
                    SELECT i.*, r.width, r.height, o.width AS other_width, o.height AS other_height,
                           (SELECT p.prompt FROM items p WHERE p.study_id = s.id AND p.role = 'pool'
                            AND p.reference = i.reference) AS prompt_of_reference,
                           (SELECT p.prompt FROM items p WHERE p.study_id = s.id AND p.role = 'pool'
                            AND p.reference = CASE i.answer WHEN 0 THEN i.candidate_1 ELSE i.candidate_0 END
                           ) AS prompt_of_other
                    FROM items i JOIN studies s ON s.id = i.study_id JOIN images r ON r.sha256 = i.reference
                    JOIN images o ON o.sha256 = CASE i.answer WHEN 0 THEN i.candidate_1 ELSE i.candidate_0 END
                    WHERE s.slug = :slug AND i.role <> 'pool' ORDER BY i.id
                """),
                {"slug": slug},
            )
        )


def test_one_candidate_is_the_reference_the_other_of_another_category(
    sessions: Sessions, storage: LocalStorage
) -> None:
    found = checks(sessions, make_study(sessions, storage, assignment__practice=4, assignment__sentinels=6))
    assert [item.role for item in found] == ["practice"] * 4 + ["sentinel"] * 18
    for item in found:
        assert item.reference == (item.candidate_0, item.candidate_1)[item.answer]
        assert item.prompt_of_other not in (None, item.prompt_of_reference)
        assert item.number is None
    assert {item.answer for item in found} == {0, 1}
    assert len({item.reference for item in found}) == 22, "no reference is used twice"


def test_the_same_seed_draws_the_same(
    sessions: Sessions, storage: LocalStorage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = TripletFolder(tmp_path_factory.mktemp("seed"))
    file = folder.csv(folder.csv_rows(20))
    drawn = []
    for _ in range(2):
        slug = make_draft(sessions, **{"assignment.sentinels": "4", "assignment.practice": "2"})
        bring(sessions, storage, slug, file)
        with sessions.begin() as session:
            lifecycle.open_study(session, slug=slug)
        drawn.append([(i.role, i.reference, i.candidate_0, i.candidate_1, i.answer) for i in checks(sessions, slug)])
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 14


def test_without_categories_the_other_is_far_in_colour(
    sessions: Sessions, storage: LocalStorage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten dark references and ten light ones: every reference stands beside one of the other kind."""
    folder = TripletFolder(tmp_path_factory.mktemp("colour"))
    rows = folder.csv_rows(20)
    for number, row in enumerate(rows):
        image = noise(number).point(lambda v, base=200 * (number % 2): base + v // 5)
        (folder.path / row["reference"]).write_bytes(encoded(image))
    slug = make_draft(sessions, **{"assignment.sentinels": "5", "assignment.practice": "5"})
    bring(sessions, storage, slug, folder.csv(rows))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
        brightness = dict(session.execute(text("SELECT sha256, CAST(mean_colour ->> 1 AS float) FROM images")).all())
    for item in checks(sessions, slug):
        assert abs(brightness[item.candidate_0] - brightness[item.candidate_1]) > 150


def test_images_beside_each_other_have_one_size(
    sessions: Sessions, storage: LocalStorage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = TripletFolder(tmp_path_factory.mktemp("sizes"))
    rows = folder.csv_rows(20)
    for number, row in enumerate(rows[:10]):
        for place, name in enumerate(row.values()):
            (folder.path / name).write_bytes(encoded(noise(3 * number + place, size=(40, 40))))
    slug = make_draft(sessions, **{"assignment.sentinels": "5", "assignment.practice": "5"})
    bring(sessions, storage, slug, folder.csv(rows))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    found = checks(sessions, slug)
    assert {(item.width, item.height) for item in found} == {(24, 16), (40, 40)}
    assert all((item.width, item.height) == (item.other_width, item.other_height) for item in found)


def test_too_few_references_are_counted_and_nothing_opens(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=20, is_open=False, assignment__practice=5, assignment__sentinels=6)
    before = contents(sessions, slug)
    said = r"needs 23 images .* \(3 × 6 sentinels and instruction trials, and 5 .* its pool has 20\."
    with pytest.raises(BadInput, match=said), sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    assert contents(sessions, slug) == before


def test_no_checks_are_wanted_and_none_are_made(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=1, assignment__practice=0, assignment__sentinels=0)
    assert checks(sessions, slug) == []
    assert len(contents(sessions, slug)["slots"]) == 1
