"""Keys: one secret a home, credentials that cannot be made up, seals that cannot be forged."""

import stat
import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.fernet import InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Unavailable
from app.keys import ImageRef, Keys, load_keys, token_sha256
from app.settings import Settings
from tests.support.disks import files_below, no_space

KEYS, OTHERS = Keys(b"a secret of thirty-two characters"), Keys(b"another one")
REFS = st.builds(ImageRef, st.integers(0, 2**63 - 1), st.integers(0, 2**16 - 1), st.integers(0, 255))


def home(path: Path, secret: str | None = None) -> Settings:
    return Settings(LOOKALIKE_HOME=path, SECRET_KEY=secret, DATABASE_URL=None)


FIRST_USE = """
import sys
from pathlib import Path
from app.keys import load_keys
from app.settings import Settings

print("ready", flush=True)
sys.stdin.readline()
print(load_keys(Settings(LOOKALIKE_HOME=Path(sys.argv[1]))).assignment_token(1))
"""


def test_processes_that_share_a_fresh_home_share_one_secret(tmp_path: Path) -> None:
    fresh = tmp_path / "new" / "home"
    command = [sys.executable, "-c", FIRST_USE, str(fresh)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # all at once, now that each has its imports behind it
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    tokens = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert tokens == {load_keys(home(fresh)).assignment_token(1)}
    (file,) = files_below(fresh)
    assert file.name == "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) >= 32


def test_homes_have_different_secrets_that_last(tmp_path: Path) -> None:
    one, other = home(tmp_path / "one"), home(tmp_path / "other")
    assert load_keys(one).assignment_token(1) == load_keys(one).assignment_token(1)
    assert load_keys(one).assignment_token(1) != load_keys(other).assignment_token(1)


def test_a_secret_of_the_environment_leaves_no_file(tmp_path: Path) -> None:
    keys = load_keys(home(tmp_path / "home", "x" * 32))
    assert keys.assignment_token(1) == Keys(b"x" * 32).assignment_token(1)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"short", b"\n" * 40])
def test_a_damaged_secret_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(Unavailable, match=r"secret\.key is damaged"):
        load_keys(home(tmp_path))


def test_a_full_disk_leaves_no_half_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            load_keys(home(tmp_path))
    assert files_below(tmp_path) == []
    assert load_keys(home(tmp_path)).assignment_token(1)


@given(st.integers(1, 2**63 - 1))
def test_tokens_are_the_same_again_and_unlike_any_other(assignment: int) -> None:
    token = KEYS.assignment_token(assignment)
    assert token == KEYS.assignment_token(assignment)
    assert len(token) == 22
    assert len(urlsafe_b64decode(token + "==")) == 16
    assert token not in (KEYS.assignment_token(assignment - 1), OTHERS.assignment_token(assignment))
    assert len(token_sha256(token)) == 32


def test_tokens_and_codes_do_not_repeat() -> None:
    tokens = {Keys(b"secret").assignment_token(number) for number in range(1000)}
    codes = {Keys(b"secret").completion_code(number) for number in range(1000)}
    assert len(tokens) == len(codes) == 1000
    assert all(code.isalnum() and code.isupper() and len(code) == 8 for code in codes)


@given(REFS)
def test_a_seal_opens_to_what_was_sealed(ref: ImageRef) -> None:
    sealed = KEYS.seal_image(ref)
    assert KEYS.open_image(sealed) == ref
    assert sealed == KEYS.seal_image(ref), "browsers keep what has the same address"
    assert OTHERS.open_image(sealed) is None
    assert sealed.isascii()
    assert not set(sealed) & set("/+=?&#")


@given(REFS, st.integers(0, 10**6), st.integers(1, 255))
def test_a_seal_with_any_bit_changed_opens_nothing(ref: ImageRef, place: int, change: int) -> None:
    raw = bytearray(urlsafe_b64decode(KEYS.seal_image(ref)))
    raw[place % len(raw)] ^= change
    assert KEYS.open_image(urlsafe_b64encode(bytes(raw)).decode().rstrip("=")) is None


@given(REFS, st.integers(0, 40), st.sampled_from(["", "A", "=", "!", " ", "\n", ".", "é", "\0", "+", "/"]))
def test_a_seal_spelled_in_another_way_opens_nothing(ref: ImageRef, place: int, stray: str) -> None:
    sealed = KEYS.seal_image(ref)
    for spelled in (
        sealed[:place] + stray + sealed[place:],
        sealed[:place] + stray + sealed[place + 1 :],
        sealed.replace("-", "+").replace("_", "/"),
        sealed + "=" * len(stray),
    ):
        if spelled != sealed:
            assert KEYS.open_image(spelled) is None


@given(st.text(max_size=60))
def test_what_nobody_sealed_opens_nothing(made_up: str) -> None:
    assert KEYS.open_image(made_up) is None


def test_seals_do_not_show_what_they_hold() -> None:
    seals = {KEYS.seal_image(ImageRef(trial, 0, place)) for trial in range(50) for place in range(3)}
    assert len(seals) == 150
    assert len({len(sealed) for sealed in seals}) == 1
    assert len({sealed[:6] for sealed in seals}) == 150


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_recruiter_ids_are_locked_and_found_again(recruiter_id: str) -> None:
    locked = KEYS.encrypt(recruiter_id)
    assert KEYS.decrypt(locked) == recruiter_id
    assert KEYS.lookup("participant", recruiter_id) == KEYS.lookup("participant", recruiter_id)
    assert KEYS.lookup("participant", recruiter_id) != KEYS.lookup("submission", recruiter_id)
    assert len(KEYS.lookup(recruiter_id)) == 32
    with pytest.raises(InvalidToken):
        OTHERS.decrypt(locked)


def test_parts_of_a_lookup_do_not_run_into_each_other() -> None:
    assert KEYS.lookup("ab", "c") != KEYS.lookup("a", "bc") != KEYS.lookup("abc")
