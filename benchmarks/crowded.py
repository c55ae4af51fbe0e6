"""A database as a large study leaves it: 100,000 items, 1,000,000 judgments, 5,000 participants, in a minute or two.

Written by the database itself (INSERT … SELECT): round 6 of 10 at three votes a round, four items in ten alive, each
with 15 or 16 votes. The images are in the database only.
"""

from sqlalchemy import text

from app.db import Sessions
from app.domain import protocol
from app.services.assignments import exclusions
from app.services.studies import lifecycle

SLUG = "crowded"
ITEMS, PARTICIPANTS, POOL_TRIALS, CHECKS = 100_000, 5_000, 185, 15
EXCLUDED = 10

_STATEMENTS = [
    """INSERT INTO images (sha256, extension, width, height, bytes, mean_colour)
       SELECT encode(sha256(convert_to('image ' || n, 'UTF8')), 'hex'), 'png', 512, 512, 400000, '[100, 100, 100]'
       FROM generate_series(0, 2999) AS n""",
    """CREATE TEMP TABLE picture AS
       SELECT n, encode(sha256(convert_to('image ' || n, 'UTF8')), 'hex') AS sha FROM generate_series(0, 2999) AS n""",
    # An item's last digit is its fate: the round it falls in, at that round's last vote, or survival.
    """INSERT INTO items (study_id, role, number, reference, candidate_0, candidate_1, prompt, split,
                          votes_0, votes_1, first_dissent, dropped_round)
       SELECT :study, 'pool', f.n, r.sha, a.sha, b.sha, 'category ' || f.n % 1000,
              (ARRAY['train', 'val', 'test'])[1 + f.n % 3],
              votes - CAST(fell IS NOT NULL AS int), CAST(fell IS NOT NULL AS int), 3 * fell, fell
       FROM (SELECT n, fell, CASE WHEN fell IS NOT NULL THEN 3 * fell
                                  WHEN n / 10 % 5 < 3 OR (n % 10 = 9 AND n / 10 % 10 = 3) THEN 16 ELSE 15 END AS votes
             FROM (SELECT n, (ARRAY[1, 1, 1, 2, 2, 3])[1 + n % 10] AS fell FROM generate_series(0, 99999) AS n) fates) f
       JOIN picture r ON r.n = f.n % 1000 JOIN picture a ON a.n = 1000 + f.n / 1000
       JOIN picture b ON b.n = 2000 + f.n / 1000""",
    """INSERT INTO items (study_id, role, reference, candidate_0, candidate_1, answer)
       SELECT :study, CASE WHEN r.n < 5 THEN 'practice' ELSE 'sentinel' END, r.sha, r.sha, b.sha, 0
       FROM picture r JOIN picture b ON b.n = 2000 + r.n WHERE r.n < 15""",
    """UPDATE studies SET state = 'open', round = 6, opened_at = now() - interval '5 days' WHERE id = :study""",
    """INSERT INTO rounds (study_id, number, opened_at, closed_at)
       SELECT :study, n, now() - (6 - n) * interval '1 day', CASE WHEN n < 6 THEN now() - (5 - n) * interval '1 day' END
       FROM generate_series(1, 6) AS n""",
    """INSERT INTO participants (pseudonym) SELECT 'crowded-' || n FROM generate_series(1, 5000) AS n""",
    """INSERT INTO assignments (study_id, protocol_version, participant_id, recruiter, token_sha256, completion_code,
                                consent_version, state, created_at, deadline, completed_at)
       SELECT :study, 1, id, 'direct', sha256(convert_to(pseudonym, 'UTF8')), 'code', 1,
              CASE WHEN n > 4980 THEN 'active' ELSE 'completed' END, at, at + interval '24 minutes',
              CASE WHEN n <= 4980 THEN at + interval '10 minutes' END
       FROM (SELECT id, pseudonym, row_number() OVER (ORDER BY id) AS n FROM participants) p,
       LATERAL (SELECT now() - interval '15 minutes' - (5000 - n) * interval '85 seconds' AS at) begun ORDER BY n""",
    # Each vote by its place in the order of receipt: the first vote on every item, then the second, and so on.
    """CREATE TEMP TABLE vote AS
       SELECT row_number() OVER (ORDER BY k, i.number) - 1 AS n, i.id AS item_id, i.number, k,
              CAST(k = i.first_dissent AS int) AS choice
       FROM items i, generate_series(1, i.votes_0 + i.votes_1) AS k WHERE i.study_id = :study AND i.role = 'pool'""",
    """CREATE TEMP TABLE seat AS
       SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, participant_id, created_at FROM assignments
       WHERE study_id = :study""",
    """INSERT INTO slots (study_id, item_id, round, ordinal, lap, draw, make_up, left_candidate, state, assignment_id)
       SELECT :study, item_id, (k + 2) / 3, k, 1 + (k - 1) % 3, 0, false, k % 2, 'filled', seat.id
       FROM vote JOIN seat ON seat.n = vote.n / 185 ORDER BY vote.n""",
    """INSERT INTO slots (study_id, item_id, round, ordinal, lap, draw, make_up, left_candidate)
       SELECT :study, id, 6, k, k - 15, number * 7919 % 100003, false, k % 2
       FROM items, generate_series(votes_0 + votes_1 + 1, 18) AS k
       WHERE study_id = :study AND role = 'pool' AND dropped_round IS NULL""",
    """INSERT INTO trials (assignment_id, participant_id, item_id, slot_id, position, left_candidate, scale)
       SELECT seat.id, seat.participant_id, vote.item_id, s.id, 16 + vote.n % 185, s.left_candidate, 1
       FROM vote JOIN seat ON seat.n = vote.n / 185 JOIN slots s ON s.item_id = vote.item_id AND s.ordinal = vote.k
       ORDER BY vote.n""",
    """INSERT INTO trials (assignment_id, participant_id, item_id, position, left_candidate, scale)
       SELECT seat.id, seat.participant_id, i.id, i.position, 0, 1
       FROM seat, (SELECT id, row_number() OVER (ORDER BY id) AS position FROM items
                   WHERE study_id = :study AND role <> 'pool') i ORDER BY seat.n, i.position""",
    """INSERT INTO judgments (trial_id, question, choice, slot_id, late, suspect, input, rt_ms, timing, received_at)
       SELECT t.id, 0, coalesce(v.choice, 0), t.slot_id, false, false, 'mouse', 600 + t.id % 900, '{}',
              seat.created_at + t.position * interval '3 seconds'
       FROM trials t JOIN seat ON seat.id = t.assignment_id LEFT JOIN slots s ON s.id = t.slot_id
       LEFT JOIN vote v ON v.item_id = t.item_id AND v.k = s.ordinal ORDER BY t.assignment_id, t.position""",
    """INSERT INTO assessments (assignment_id, signals, findings)
       SELECT id, '{}', '[{"name": "side", "sentence": "Chose left 62 % of the time."}]' FROM seat WHERE n % 50 = 0""",
    """INSERT INTO audit_log (actor, action, study_id, details)
       SELECT 'ada@example.org', 'paused the study', :study, '{}' FROM generate_series(1, 10000)""",
]  # fmt: skip


def fill(sessions: Sessions) -> str:
    """Make the study; returns its slug."""
    loaded = protocol.load(
        "nights-2afc", overrides={"votes_per_round": "3", "min_votes": "15", "assignment.trials": str(POOL_TRIALS)}
    )
    with sessions.begin() as session:
        study = lifecycle.create(session, slug=SLUG, protocol=loaded, seed=1)
        for statement in _STATEMENTS:
            clause = text(statement)
            session.execute(clause, {"study": study.id} if ":study" in statement else {})
    with sessions.begin() as session:
        session.connection().exec_driver_sql("ANALYZE")
        wanted = session.scalars(text("SELECT id FROM assignments ORDER BY id LIMIT :n"), {"n": EXCLUDED}).all()
        for assignment_id in wanted:
            exclusions.exclude_by_hand(session, assignment_id=assignment_id, reason="looked odd", actor="benchmark")
    with sessions() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"}).exec_driver_sql("VACUUM ANALYZE")
    return SLUG
