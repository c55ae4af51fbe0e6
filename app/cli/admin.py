"""`admin …`: accounts of the people who run this server."""

import secrets
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.console import HOME, Home, opened, out, plain_errors, settings_for
from app.services.accounts import accounts, api_tokens

admin = typer.Typer(help="Accounts for the dashboard.", no_args_is_help=True)
RevokeTokens = Annotated[bool, typer.Option("--revoke-tokens", help="Revoke the account's API tokens too.")]
Email = Annotated[str, typer.Argument(help="The e-mail address to sign in with.")]


@admin.command("create")
def create(email: Email, home: Home = HOME) -> None:
    """Make an account that owns every study, and print its password.

    Example: lookalike admin create ada@example.org
    """
    password = new_password()
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        accounts.create(session, email=email, password=password, is_site_owner=True)
    _tell(email, password)


@admin.command("password")
def password(
    email: Email,
    revoke_tokens: RevokeTokens = False,
    home: Home = HOME,
) -> None:
    """Give an account a new password, print it, switch its second factor off and sign it out everywhere: for somebody
    who is locked out, or whose account somebody else got into.

    Example: lookalike admin password ada@example.org --revoke-tokens
    """
    fresh = new_password()
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        account = accounts.by_email(session, email)
        accounts.drop_totp(session, account=account)
        accounts.set_password(session, account=account, password=fresh)
        if revoke_tokens:
            api_tokens.revoke_all(session, account=account)
        left = [token.name for token in api_tokens.in_force(session, account)]
    _tell(email, fresh)
    if left:
        names = escape(", ".join(left))
        out.print(f"[yellow]API tokens stay in force: {names}. --revoke-tokens revokes them.[/]", soft_wrap=True)


def new_password() -> str:
    """Four groups one can type: 80 random bits."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(4))


def _tell(email: str, password: str) -> None:
    out.print(f"Sign in at [cyan]http://HOST/admin[/] as [bold]{escape(email)}[/] with the password {password}")
    out.print("[dim]Change it there under your name; it is shown only now.[/]")
